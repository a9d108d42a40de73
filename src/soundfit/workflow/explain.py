"""Explain: what moves the final model's prediction, and how, within a small share of what training cost.

Shares are of cost, not of the clock, so that one seed gives one run on any machine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from soundfit.study.blend import Blend
from soundfit.study.cross_validation import StudyRun
from soundfit.study.effects import Effect, column_effects, effect_passes
from soundfit.study.fold_models import FoldModel, fold_models
from soundfit.study.importance import ColumnImportance, columns_alike, permutation_importance
from soundfit.study.views import StudyViews, TableViews, median_rows, trained_cost

__all__ = ["importance_record"]

# Of what training cost; or this much, about half a second on one core.
_SHARE, _LEAST_COST = 0.04, 4e9
# A forward pass is a third of a step.
_FORWARD = 1.0 / 3.0
_REPEATS, _FEWEST_REPEATS = 5, 2
_MOST_ROWS, _FEWEST_ROWS = 5_000, 200
# Columns that are looked at again, and those whose effects are shown.
_SECOND_LOOKS, _EFFECTS = 15, 6
_EFFECTS_SHARE = 0.25
# Of what importance may cost, for a first look at all columns.
_FIRST_LOOK = 0.25


def importance_record(
    views: StudyViews,
    study: StudyRun,
    blend: Blend,
    *,
    seed: int = 0,
    device: torch.device | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any] | None:
    """Return ``importance`` of ``run.json``; None for data without columns, or where it was stopped.

    All columns are looked at on as many rows as a share of the training's cost pays for; where that is few,
    the most important ones are looked at again on more rows.
    """
    if not isinstance(views, TableViews) or should_stop():
        return None
    asked = _Asked(views, study, blend, seed, device, should_stop)
    # Predictions of one row that may be asked for.
    allowed = max(_SHARE * trained_cost(views, study.result), _LEAST_COST) / _row_price(views, study, blend)
    found = _importance(asked, (1.0 - _EFFECTS_SHARE) * allowed)
    if found is None:
        return None
    alike = {one.column: columns_alike(views, one.column) for one in found[:_SECOND_LOOKS]}
    found = [replace(one, alike=alike.get(one.column, ())) for one in found]
    best = [one.column for one in found if one.low > 0][:_EFFECTS] or [found[0].column]
    passes = sum(effect_passes(views, name) for name in best)
    models = asked.models(_EFFECTS_SHARE * allowed / max(passes, 1))
    return {
        "model": "chosen" if blend.alone else "final",
        "metric": views.metric.name,
        "columns": [_column(one) for one in found],
        "effects": [_effect(one, views) for one in column_effects(models, best, should_stop=should_stop)],
    }


@dataclass(frozen=True)
class _Asked:
    """The final model of each fold, and how it may be asked."""

    views: TableViews
    study: StudyRun
    blend: Blend
    seed: int
    device: torch.device | None
    should_stop: Callable[[], bool]

    @property
    def n_rows(self) -> int:
        """How many rows there are to ask about."""
        return min(sum(len(f.validation) for f in self.views.folds), _MOST_ROWS)

    def rows(self, wanted: float) -> int:
        """Return a number of rows that is worth asking about."""
        return int(min(max(wanted, _FEWEST_ROWS), self.n_rows))

    def models(self, rows: float) -> list[FoldModel]:
        """Return the folds' models for about so many rows."""
        return fold_models(
            self.views,
            self.study,
            self.blend,
            most_rows=self.rows(rows),
            seed=self.seed,
            device=self.device,
        )

    def alone(self) -> _Asked:
        """Return the same with the chosen configuration as the model."""
        chosen = self.study.result.chosen
        return replace(self, blend=replace(self.blend, configurations=(chosen,), weights=(1.0,)))

    def importance(self, columns: list[str], rows: int, repeats: int) -> list[ColumnImportance] | None:
        """Return the importance of columns; None if stopped, or where nothing can be asked."""
        models = self.models(rows)
        if not models:
            return None
        return permutation_importance(
            models, columns=columns, repeats=repeats, seed=self.seed, should_stop=self.should_stop
        )


def _importance(asked: _Asked, allowed: float) -> list[ColumnImportance] | None:
    """Ask about all columns with so many predictions.

    Where they are few, the chosen configuration alone is asked about all columns on few rows, and the final
    model about the best of them on more.
    """
    columns = [block.column for block in asked.views.encoders[0].layout.blocks]
    if not columns:
        return None
    if allowed >= asked.n_rows * len(columns) * _REPEATS:
        return asked.importance(columns, asked.n_rows, _REPEATS)
    alone = asked.alone()
    share = _row_price(alone.views, alone.study, alone.blend) / _row_price(
        asked.views, asked.study, asked.blend
    )
    first = asked.rows(_FIRST_LOOK * allowed / (share * len(columns)))
    found = alone.importance(columns, first, 1)
    if found is None:
        return None
    best = [one.column for one in found[:_SECOND_LOOKS]]
    left = allowed - share * first * len(columns)
    rows = asked.rows(left / (len(best) * _FEWEST_REPEATS))
    repeats = int(min(max(left / (len(best) * rows), _FEWEST_REPEATS), _REPEATS))
    again = asked.importance(best, rows, repeats)
    if again is None:
        return None
    better = {one.column: one for one in again}
    return sorted((better.get(one.column, one) for one in found), key=lambda one: -one.value)


def _row_price(views: TableViews, study: StudyRun, blend: Blend) -> float:
    """Return what one prediction of one row costs, in the units of ``views.cost``."""
    n = median_rows(views.folds)
    configs = [study.result.configurations[c] for c in blend.configurations]
    return _FORWARD * sum(views.cost(config.with_(epochs=1), n) for config in configs) / n


def _column(one: ColumnImportance) -> dict[str, Any]:
    return {
        "column": one.column,
        "value": one.value,
        "low": one.low,
        "high": one.high,
        "rows": one.rows,
        "repeats": one.repeats,
        "alike": list(one.alike),
    }


def _effect(effect: Effect, views: TableViews) -> dict[str, Any]:
    label: Any = None if effect.outcome is None else views.table.classes[effect.outcome]
    return {
        "column": effect.column,
        "kind": effect.kind,
        "class": label.item() if hasattr(label, "item") else label,
        "mean": effect.mean,
        "more_levels": effect.more_levels,
        "points": [
            {"at": p.at, "value": p.value, "rows": p.rows}
            | ({} if p.observed is None else {"observed": p.observed})
            for p in effect.points
        ],
    }
