"""Sequences as the material of a training: read, find what hangs together, seal and split, view."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from soundfit.artifact.sequence_predictor import SequencePredictor, build_sequence_predictor
from soundfit.data.sequence_layout import Layout
from soundfit.data.sequence_source import read_sequences
from soundfit.data.sequence_split import split_sequences
from soundfit.data.sequences import Sequences, as_sequences
from soundfit.errors import UsageError
from soundfit.records.said import say
from soundfit.study.blend import Blend, blend_study
from soundfit.study.cross_validation import StudyRun
from soundfit.study.gradients import gradients_record
from soundfit.study.sequences import sequence_views
from soundfit.study.tensors import TensorViews
from soundfit.workflow.final import class_temperature, members_of, value_interval
from soundfit.workflow.material import Material, Steps
from soundfit.workflow.options import Options

__all__ = ["sequence_material", "sequences_of"]

# Configurations of the final model: each reads every step.
_MOST_BLENDED = 3


def sequences_of(source: str | Path | pd.DataFrame, options: Options) -> tuple[Sequences, Options]:
    """Read sequences, and return the options as they apply to them.

    With ``--time``, ``--sequence`` names whose step a row is; without ``--sequence`` a recurrent model
    takes the one ``--group`` column for that. What is left of ``--group`` and ``--time`` is the split's.

    Raises:
        UsageError: data or options cannot be used as given.
    """
    sequence, time, group = options.sequence, options.time or "", options.group
    npz = isinstance(source, str | Path) and Path(source).suffix.lower() == ".npz"
    if npz and (sequence or time):
        raise UsageError(
            "--sequence and --time are for tables; an npz file holds sequences by its shape",
            received=say("--sequence {sequence}", sequence=sequence)
            if sequence
            else say("--time {time}", time=time),
            fix="leave it out",
        )
    if not npz and not sequence and time and len(group) == 1:
        sequence, group = group[0], ()
    found = read_sequences(
        source, target=options.target, sequence=sequence, time=time, keep=group, drop=options.drop
    )
    long = found.layout.form == "long"
    if long and sequence in group:
        raise UsageError(
            "--group joins whole sequences: it is the same for all steps of one",
            received=say("{sequence!r} as --sequence and --group", sequence=sequence),
            fix="leave --group out, steps of one sequence are never apart",
        )
    return as_sequences(found, task=options.task), replace(
        options, sequence=sequence, group=group, time=None if long else options.time
    )


def sequence_material(
    source: str | Path | pd.DataFrame, options: Options, steps: Steps, device: torch.device
) -> Material:
    """Read sequences, seal the exam and deal the folds.

    Raises:
        UsageError: data or options cannot be used as given.
    """
    steps.on_stage("reading the sequences")
    sequences, own = sequences_of(source, options)
    steps.on_stage("looking for copies and overlaps")
    split = split_sequences(
        sequences,
        folds=own.folds,
        test=own.test,
        group=own.group,
        time=own.time,
        fold_column=own.fold_column,
        stratify=own.stratify,
        seed=own.seed,
    )
    sequences = split.sequences
    lengths = sequences.lengths
    record = {
        "layout": sequences.layout.to_dict(),
        "keep": list(own.group),
        "drop": list(own.drop),
        "steps": [int(lengths.min()), int(lengths.max())],
    }
    return Material(
        sequences.table,
        split.plan,
        split.findings,
        lambda plan: sequence_views(sequences, plan),
        partial(final_sequence_predictor, layout=sequences.layout),
        lambda rows: sequences.steps[rows],
        sequences.content,
        stability=gradients_record,
        record={"kind": "sequences", "sequences": record},
        blends=_MOST_BLENDED,
    )


def final_sequence_predictor(
    views: TensorViews, study: StudyRun, blend: Blend | None = None, *, layout: Layout
) -> SequencePredictor:
    """Average fold members of the chosen configuration or of a blend, with intervals or probabilities."""
    blend = blend or blend_study(views, study, most=_MOST_BLENDED)
    mixed = None if blend.alone else blend
    members = members_of(views, study, mixed)
    statistics: Any = views.statistics[0]
    return build_sequence_predictor(
        study.result.chosen_config,
        [m.outcome.module.state_dict() for m in members],
        layout=layout,
        n_steps=int(views.data.inputs_VN.shape[2]),
        missing=statistics["missing"],
        scales=[views.scales[m.fold] for m in members] if views.scales else [],
        task=views.table.task,
        target=views.table.target_name,
        classes=views.table.classes,
        interval=value_interval(views, study.result, mixed),
        temperature=class_temperature(views, study.result, mixed),
        configs=[m.config for m in members] if mixed else [],
        weights=[m.weight for m in members] if mixed else [],
    )
