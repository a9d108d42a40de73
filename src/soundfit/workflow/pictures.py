"""Pictures as the material of a training: read, find copies, seal and split, view."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from soundfit.artifact.picture_predictor import PicturePredictor, build_picture_predictor
from soundfit.data.picture_split import split_pictures
from soundfit.data.pictures import Pictures, read_pictures
from soundfit.errors import StopError, UsageError
from soundfit.models.backbone import Backbone, native_side
from soundfit.models.backbone_weights import (
    BackboneChoice,
    cached_backbone,
    choose_backbone,
    parse_backbone,
)
from soundfit.records import Plan, StudyResult
from soundfit.records.said import say
from soundfit.study.backbone import TUNED, Reading, against_scratch, head_views, rival, scratch_views, tune
from soundfit.study.blend import Blend, blend_study
from soundfit.study.cross_validation import Hooks, StudyRun
from soundfit.study.pictures import picture_views
from soundfit.study.solved import Solving
from soundfit.study.tensors import TensorViews
from soundfit.workflow.final import class_temperature, members_of, value_interval
from soundfit.workflow.material import Material, Steps
from soundfit.workflow.options import Options
from soundfit.workflow.picture_record import write_picture_record

__all__ = ["picture_material"]

#: With so many pictures a class or fewer, a pretrained backbone that lies on this machine is used unasked.
_FEW_A_CLASS = 20
# Configurations of the final model: each pass over pictures is dear.
_MOST_BLENDED = 3


def picture_material(source: str | Path, options: Options, steps: Steps, device: torch.device) -> Material:
    """Read pictures, seal the exam and deal the folds.

    Raises:
        UsageError: data or options cannot be used as given.
    """
    name = parse_backbone(options.backbone, options.weights)
    steps.on_stage("reading the pictures")
    choice = None if name in (None, "auto") else choose_backbone(str(name), options.weights)
    pictures = _read(source, options, steps, device, choice)
    if name == "auto" and options.model == "auto" and _few(pictures):
        choice = cached_backbone(device.type)
        if choice is not None:
            pictures = _read(source, options, steps, device, choice)
    if choice is not None and options.model != "auto":
        raise UsageError(
            "A backbone comes with heads of its own",
            received=say("--backbone timm:{name} and --model {model}", name=choice.name, model=options.model),
            fix="leave one of the two out",
        )
    steps.on_stage("looking for copies and damage")
    split = split_pictures(
        pictures,
        folds=options.folds,
        test=options.test,
        group=options.group,
        time=options.time,
        gap=options.gap,
        fold_column=options.fold_column,
        stratify=options.stratify,
        seed=options.seed,
    )
    pictures, plan = split.pictures, split.plan
    height, width, channels = pictures.pixels.shape[1:]
    record: dict[str, Any] = {
        "kind": "pictures",
        "pictures": {"height": height, "width": width, "channels": channels},
    }
    material = Material(
        pictures.table,
        plan,
        (*pictures.table.findings, *split.findings),
        lambda p: picture_views(pictures, p, device=device.type),
        _blend_of_nets,
        lambda rows: pictures.pixels[rows],
        pictures.content,
        write=partial(write_picture_record, pictures=pictures),
        record=record,
        blends=_MOST_BLENDED,
    )
    return material if choice is None else _with_backbone(material, pictures, choice, options, steps, device)


def _read(
    source: str | Path, options: Options, steps: Steps, device: torch.device, choice: BackboneChoice | None
) -> Pictures:
    return read_pictures(
        source,
        target=options.target,
        task=options.task,
        image_size=options.image_size,
        device=device.type,
        most=None if choice is None else native_side(choice.name),
        on_total=steps.on_total,
        on_picture=steps.on_unit,
    )


def _few(pictures: Pictures) -> bool:
    """Return whether a typical class has few pictures beside those of a given exam."""
    table = pictures.table
    if table.task != "classification":
        return False
    mine = table.target if not len(pictures.roles) else table.target[pictures.roles != "test"]
    return float(np.median(np.bincount(mine, minlength=len(table.classes)))) <= _FEW_A_CLASS


def _with_backbone(
    material: Material,
    pictures: Pictures,
    choice: BackboneChoice,
    options: Options,
    steps: Steps,
    device: torch.device,
) -> Material:
    """Return material whose configurations are heads on the features of a pretrained net."""
    height, width, channels = pictures.pixels.shape[1:]
    backbone = Backbone(choice.name, (height, width, channels), weights=choice.weights)
    with choice.weights.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    described = {
        "name": f"timm:{choice.name}",
        "weights": choice.weights.name,
        "sha256": digest,
        "features": backbone.n_features,
    }

    reading = Reading(
        backbone,
        pictures,
        device,
        on_total=steps.on_total,
        on_picture=steps.on_unit,
        should_stop=steps.should_stop,
        seconds_left=steps.seconds_left,
    )
    scratch = None if options.backbone != "auto" else scratch_views(pictures, material.plan, device=device)

    def deepen(
        views: TensorViews,
        study: StudyRun,
        *,
        seed: int,
        device: torch.device,
        hooks: Hooks,
        on_stage: Callable[[str], None],
    ) -> tuple[StudyRun, TensorViews | None]:
        if not any(c.get("backbone") for c in study.result.configurations):
            return study, views
        if scratch is not None and not hooks.over():
            on_stage("training nets from scratch beside the backbone")
            study = rival(views, study, scratch, seed=seed, device=device, hooks=hooks)
        study = tune(
            views,
            study,
            pictures,
            material.plan,
            reading,
            seed=seed,
            device=device,
            hooks=hooks,
            on_stage=on_stage,
        )
        chosen = study.result.chosen_config
        if not chosen.get("backbone"):
            return study, scratch
        # The head that a whole net began with has seen all rows.
        return study, None if chosen.model == TUNED else views

    def compared(result: StudyResult) -> dict[str, Any]:
        beside = against_scratch(result, f"timm:{choice.name}")
        return {} if beside is None else {"backbone": {**described, "beside": beside}}

    def views(plan: Plan) -> TensorViews:
        steps.on_stage("reading the pictures through the backbone")
        try:
            return head_views(pictures, plan, reading)
        except StopError:
            # Nobody asked for the backbone: what does without it is trained in the time there is.
            if options.backbone != "auto" or steps.should_stop():
                raise
            return picture_views(pictures, plan, device=device.type)

    def predictor(views: TensorViews, study: StudyRun) -> PicturePredictor:
        return final_picture_predictor(views, study, shape=(height, width, channels), backbone=backbone)

    return replace(
        material,
        views=views,
        predictor=predictor,
        write=partial(write_picture_record, pictures=pictures, backbone=backbone),
        blends=1,
        # A nested study would train the whole net as often as there are folds.
        deepen=None if options.nested else deepen,
        identity={"backbone": f"timm:{choice.name}", "weights": digest},
        trainer=Solving,
        compared=compared,
        record={**material.record, "backbone": described},
    )


def final_picture_predictor(
    views: TensorViews,
    study: StudyRun,
    blend: Blend | None = None,
    *,
    shape: tuple[int, ...] | None = None,
    backbone: Backbone | None = None,
) -> PicturePredictor:
    """Average fold members of the chosen configuration or of a blend, with calibrated probabilities."""
    if not study.result.chosen_config.get("backbone"):
        backbone = None
    mixed = None if blend is None or blend.alone else blend
    members = members_of(views, study, mixed)
    return build_picture_predictor(
        study.result.chosen_config,
        [m.outcome.module.state_dict() for m in members],
        shape=shape or tuple(views.data.inputs_VN.shape[2:]),
        scales=[views.scales[m.fold] for m in members] if views.scales else [],
        task=views.table.task,
        target=views.table.target_name,
        classes=views.table.classes,
        temperature=class_temperature(views, study.result, mixed),
        interval=value_interval(views, study.result, mixed),
        backbone=backbone,
        configs=[m.config for m in members] if mixed else [],
        weights=[m.weight for m in members] if mixed else [],
    )


def _blend_of_nets(views: TensorViews, study: StudyRun, blend: Blend | None = None) -> PicturePredictor:
    return final_picture_predictor(views, study, blend or blend_study(views, study, most=_MOST_BLENDED))
