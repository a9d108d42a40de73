"""Whether runs can be ranked: what they share, and a warning for all that they do not. Knows no page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from soundfit.report.numbers import count, finite
from soundfit.report.run_view import RunView
from soundfit.report.words import Words

__all__ = ["Comparability", "comparability"]


@dataclass(frozen=True)
class Comparability:
    """What holds for all runs at once.

    ``cv``: their cross-validated scores are on one scale and from the same rows. ``folds``: from the
    same folds too, so that they can be compared fold by fold. ``exam``: all exams are open and from the
    same rows. ``warnings`` says in words what stands against each.
    """

    cv: bool
    folds: bool
    exam: bool
    warnings: list[str]


def comparability(views: Sequence[RunView], names: Sequence[str], _: Words) -> Comparability:
    """Return what the runs share, judged by their records and split tables."""
    warnings = []

    def agree(read: Callable[[RunView], Any], warning: str) -> bool:
        values = [read(view) for view in views]
        if all(value == values[0] for value in values):
            return True
        listed = "; ".join(f"{name}: {_shown(value)}" for name, value in zip(names, values, strict=True))
        warnings.append(warning.format(list=listed))
        return False

    same_metric = agree(
        lambda v: v.get("cv", "metric"),
        _("They are scored by different metrics ({list}): no ranking is drawn."),
    )
    same_target = agree(
        lambda v: v.get("data", "target"), _("They predict different targets ({list}): no ranking is drawn.")
    )
    same_data = _same(views, lambda v: v.get("data", "sha256"))
    if not same_data:
        warnings.append(
            _("They were trained on different data (another SHA-256): a difference may come from the rows.")
        )
    same_test = _same(views, lambda v: _rows(v, "test"))
    if not same_test:
        warnings.append(_("Their sealed test rows differ: the exams are not about the same rows."))
    same_folds = same_data and same_test and _same(views, _folds)
    if same_data and same_test and not same_folds:
        warnings.append(_("Their folds differ: part of any difference is the luck of the split."))
    sealed = [name for name, view in zip(names, views, strict=True) if view.is_sealed]
    if sealed and len(sealed) < len(views):
        warnings.append(
            _("Still sealed: {list}. Only cross-validation can be compared.").format(list=", ".join(sealed))
        )
    for name, view in zip(names, views, strict=True):
        openings = finite(view.get("exam", "openings"))
        if openings and openings > 1:
            warnings.append(
                _(
                    "{name}: its test rows had been opened {n} times by then. Choosing among runs by their "
                    "exam turns the test rows into validation rows; choose by cross-validation."
                ).format(name=name, n=count(openings))
            )
    one_scale = same_metric and same_target
    return Comparability(
        cv=one_scale and same_data and same_test,
        folds=one_scale and same_folds,
        exam=one_scale and same_data and same_test and not sealed,
        warnings=warnings,
    )


def _shown(value: Any) -> str:
    return "–" if value is None else str(value)


def _same(views: Sequence[RunView], read: Callable[[RunView], Any]) -> bool:
    """Return whether all runs hold the same; what is not recorded cannot be called the same."""
    values = [read(view) for view in views]
    return values[0] is not None and all(value == values[0] for value in values)


def _rows(view: RunView, role: str) -> tuple[int, ...] | None:
    if not view.has("split", "row", "role"):
        return None
    return tuple(sorted(view.split.loc[view.split["role"] == role, "row"].tolist()))


def _folds(view: RunView) -> tuple[tuple[int, int], ...] | None:
    if not view.has("split", "row", "fold"):
        return None
    fold = pd.to_numeric(view.split["fold"], errors="coerce")
    return tuple(sorted(zip(view.split["row"].tolist(), fold.fillna(-1).astype(int).tolist(), strict=True)))
