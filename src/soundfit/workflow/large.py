"""Large: tables beyond memory. A sample chooses and examines, all other rows train the chosen configuration.

A random sample of the file that fits in memory goes the whole way of any table: audit, sealed rows, folds,
study, verdict, exam. Then the chosen configuration trains again on every row outside the sample and the
sample's own training rows, encoded once and shuffled on disk. It is taken where it validates better. Rows
that equal a sealed or a validation row train nothing.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from errno import ENOSPC
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from soundfit.artifact import AnyPredictor
from soundfit.data.batches import BatchedFile, available_bytes, batched, bytes_in_memory
from soundfit.data.encoder import Encoder
from soundfit.data.seal import row_hashes
from soundfit.data.table import Table
from soundfit.data.values import to_numbers, to_text
from soundfit.errors import UsageError
from soundfit.records import Plan
from soundfit.records.said import say
from soundfit.study.blocks import Blocks, feeding_views, write_blocks
from soundfit.study.cross_validation import Hooks, StudyRun, cross_validate_views
from soundfit.study.grid import sized_to_rows
from soundfit.study.views import TableViews, table_views
from soundfit.workflow.final import final_predictor
from soundfit.workflow.folder import RESUME
from soundfit.workflow.material import Material, Steps
from soundfit.workflow.options import Options
from soundfit.workflow.prepare import prepare

__all__ = ["is_large", "large_material", "sample_table"]

# Of the memory that may be used: for the study of the sample, and for a block of encoded rows.
_SAMPLE_SHARE, _BLOCK_SHARE = 0.5, 0.05
_BYTES_A_CELL = 100
_MOST_SAMPLE, _FEWEST_SAMPLE = 200_000, 2_000
_MOST_BLOCK, _FEWEST_BLOCK = 262_144, 2_048


def is_large(source: Any, options: Options) -> bool:
    """Return whether a source is a table file beyond memory (``options.memory``, or what is free)."""
    file = batched(source)
    return file is not None and bytes_in_memory(file) > _memory(options)


def _memory(options: Options) -> int:
    return options.memory if options.memory is not None else int(0.8 * available_bytes())


def large_material(source: Any, options: Options, steps: Steps, device: torch.device) -> Material:
    """Read a sample of a large table file, and prepare for training on all of it.

    Raises:
        UsageError: an option needs the whole table in memory, or data or options cannot be used as given.
    """
    file = batched(source)
    assert file is not None
    whole = [n for n in ("group", "time", "fold_column", "nested") if getattr(options, n)]
    if whole or not _is_fraction(options.test):
        name = whole[0] if whole else "test FILE"
        raise UsageError(
            say("--{replace} needs the whole table in memory", replace=name.replace("_", "-")),
            received=say(
                "{path}, which needs about {value:.1f} GiB, and {value2:.1f} GiB that may be used",
                path=file.path,
                value=bytes_in_memory(file) / 2**30,
                value2=_memory(options) / 2**30,
            ),
            fix="use a machine with more memory, a part of the rows or fewer columns; or leave it out",
        )
    steps.on_stage(say("sampling {name}, which is larger than memory", name=file.path.name))
    frame, rows = _sample(file, options)
    steps.on_stage("auditing a sample of the data")
    prepared = prepare(frame, options)
    table = _of_file(prepared.table, file, rows)
    reason = say(
        "{reason} (drawn in a random sample of {n_sample:,} of {n:,} rows)",
        reason=prepared.plan.reason,
        n_sample=len(rows),
        n=file.n_rows,
    )
    plan = replace(prepared.plan, reason=reason)
    record: dict[str, Any] = {"rows": file.n_rows, "sampled": len(rows)}

    def refit(views: TableViews, study: StudyRun, hooks: Hooks) -> AnyPredictor:
        with _place(options) as folder:
            steps.on_stage("encoding and shuffling all rows on disk")
            rest = _Rest(file, table, plan, rows, views)
            blocks = rest.write(folder, rows_a_block(views.n_inputs, _memory(options)), options.seed)
            steps.on_stage("training on all rows")
            return _refit(views, study, blocks, rest, options, device, hooks, record)

    return Material(
        table,
        plan,
        prepared.findings,
        lambda p: table_views(table, p),
        final_predictor,
        lambda those: table.frame.iloc[those].reset_index(drop=True),
        table,
        record=record,
        refit=refit,
    )


def sample_table(path: str | Path, options: Options, n: int) -> Table:
    """Read the very sample of n rows that a training with this seed drew, for a later exam."""
    file = BatchedFile(Path(path))
    frame, rows = file.sample(n, seed=options.seed)
    return _of_file(prepare(frame, options).table, file, rows)


def _sample(file: BatchedFile, options: Options) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    _, first = next(file.frames())
    fitting = int(_SAMPLE_SHARE * _memory(options) / (_BYTES_A_CELL * max(first.shape[1], 1)))
    return file.sample(min(max(fitting, _FEWEST_SAMPLE), _MOST_SAMPLE), seed=options.seed)


def _of_file(table: Table, file: BatchedFile, rows: NDArray[np.int64]) -> Table:
    return replace(
        table,
        file_rows=rows[table.file_rows],
        n_file_rows=file.n_rows,
        source=str(file.path),
        sha256=file.sha256,
    )


def _is_fraction(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def rows_a_block(n_features: int, memory: int) -> int:
    """Return how many encoded rows a block may have."""
    fitting = int(_BLOCK_SHARE * memory / (4 * max(n_features, 1)))
    return min(max(fitting, _FEWEST_BLOCK), _MOST_BLOCK)


@contextmanager
def _place(options: Options) -> Iterator[Path]:
    """Give a folder for the blocks: in the run folder, which has the room, or a temporary one."""
    if options.out is None:
        with tempfile.TemporaryDirectory(prefix="soundfit-") as place:
            yield Path(place)
        return
    folder = options.out.absolute() / RESUME / "rows"
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class _Rest:
    """The training rows of a file: all but the sample's sealed and validation rows, and copies of those."""

    file: BatchedFile
    table: Table
    plan: Plan
    sampled: NDArray[np.int64]
    views: TableViews
    copies: int = field(default=0, init=False)

    def write(self, folder: Path, rows: int, seed: int) -> Blocks:
        """Encode all training rows with the first fold's encoder and shuffle them into blocks."""
        encoder: Encoder = self.views.encoders[0]
        n_features = len(encoder.active)
        needed = 4 * self.file.n_rows * (n_features + 2)
        folder.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(folder).free < needed:
            raise OSError(
                ENOSPC, f"No space left: the encoded rows take {needed / 2**30:.1f} GiB", str(folder)
            )
        return write_blocks(
            folder,
            self._pieces(encoder),
            n_rows=self.file.n_rows,
            n_features=n_features,
            classes=self.table.task == "classification",
            rows=rows,
            seed=seed,
            key=self.table.sha256,
        )

    def _pieces(self, encoder: Encoder) -> Iterator[tuple[NDArray[np.float32], NDArray[Any]]]:
        table, name = self.table, self.table.target_name
        kept_out = self._kept_out()
        hidden = np.unique(self._hashes(table.frame.iloc[kept_out], self._labels(table.target[kept_out])))
        training = self.plan.folds[0].train
        seen = np.setdiff1d(self.sampled, table.file_rows[training])
        for start, frame in self.file.frames():
            values, known = self._targets(frame[name])
            features = frame[list(table.frame.columns)]
            copy = np.isin(self._hashes(features, self._labels(values)), hidden)
            outside = ~np.isin(start + np.arange(len(frame)), seen)
            self.copies += int((copy & known & outside).sum())
            use = known & outside & ~copy
            if use.any():
                yield encoder.transform(features[use]), self._scaled(values[use])

    def _kept_out(self) -> NDArray[np.int64]:
        return np.union1d(self.plan.test, self.plan.folds[0].validation)

    def _hashes(self, features: pd.DataFrame, target: NDArray[Any]) -> NDArray[np.uint64]:
        return row_hashes(features.reset_index(drop=True), target)

    def _labels(self, target: NDArray[Any]) -> NDArray[Any]:
        if self.table.task != "classification":
            return target
        labels = np.array([*map(str, self.table.classes), ""], dtype=object)
        return labels[target.astype(np.int64)]

    def _targets(self, series: pd.Series) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return values or class codes, and which rows have one."""
        if self.table.task != "classification":
            values = to_numbers(series)[0]
            return values, np.isfinite(values)
        code = {str(label): i for i, label in enumerate(self.table.classes)}
        texts = to_text(series)
        codes = np.array([code.get(t, -1) if isinstance(t, str) else -1 for t in texts], dtype=np.int64)
        return codes, codes >= 0

    def _scaled(self, values: NDArray[Any]) -> NDArray[Any]:
        return self.views.scales[0].forward(values) if self.views.scales else values


def _refit(
    views: TableViews,
    study: StudyRun,
    blocks: Blocks,
    rest: _Rest,
    options: Options,
    device: torch.device,
    hooks: Hooks,
    record: dict[str, Any],
) -> AnyPredictor:
    """Train the chosen configuration on all rows; keep what validates better."""
    result = study.result
    batch, passes = sized_to_rows(blocks.n_rows)
    config = result.chosen_config.with_(batch_size=batch, epochs=passes * len(blocks.counts), patience=0)
    fed = feeding_views(views, blocks)
    again = cross_validate_views(
        fed, [config], seeds=(options.seed,), device=device, hooks=replace(hooks, seconds_left=None)
    )
    before, after = float(result.scores_CK[result.chosen][0]), float(again.result.scores_CK[0][0])
    better = after > before if result.greater_is_better else after < before
    record["all_rows"] = {
        "trained": blocks.n_rows,
        "copies_left_out": rest.copies,
        "passes": passes,
        "validation": after,
        "validation_of_sample": before,
        "used": better,
    }
    return final_predictor(fed, again) if better else final_predictor(views, study)
