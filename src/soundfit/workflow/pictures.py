"""Pictures as the material of a training: read, find copies, seal and split, view."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch

from soundfit.artifact.picture_predictor import PicturePredictor, build_picture_predictor
from soundfit.data.picture_split import split_pictures
from soundfit.data.pictures import read_pictures
from soundfit.study.cross_validation import StudyRun
from soundfit.study.pictures import picture_views
from soundfit.study.tensors import TensorViews
from soundfit.workflow.final import class_temperature, speaking_members
from soundfit.workflow.material import Material, Steps
from soundfit.workflow.options import Options
from soundfit.workflow.picture_record import write_picture_record

__all__ = ["picture_material"]


def picture_material(source: str | Path, options: Options, steps: Steps, device: torch.device) -> Material:
    """Read pictures, seal the exam and deal the folds.

    Raises:
        UsageError: data or options cannot be used as given.
    """
    steps.on_stage("reading the pictures")
    pictures = read_pictures(
        source,
        target=options.target,
        task=options.task,
        image_size=options.image_size,
        device=device.type,
        on_total=steps.on_total,
        on_picture=steps.on_unit,
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
    return Material(
        pictures.table,
        plan,
        (*pictures.table.findings, *split.findings),
        lambda p: picture_views(pictures, p, device=device.type),
        final_picture_predictor,
        lambda rows: pictures.pixels[rows],
        pictures.content,
        write=partial(write_picture_record, pictures=pictures),
        record={"kind": "pictures", "pictures": {"height": height, "width": width, "channels": channels}},
    )


def final_picture_predictor(views: TensorViews, study: StudyRun) -> PicturePredictor:
    """Average the chosen configuration's fold members, with calibrated probabilities."""
    speaking = speaking_members(views, study)
    return build_picture_predictor(
        study.result.chosen_config,
        [o.module.state_dict() for _, o in speaking],
        shape=tuple(views.data.inputs_VN.shape[2:]),
        scales=[views.scales[m.fold] for m, _ in speaking] if views.scales else [],
        task=views.table.task,
        target=views.table.target_name,
        classes=views.table.classes,
        temperature=class_temperature(views, study.result),
    )
