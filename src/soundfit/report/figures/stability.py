"""Gradient norms over training, by layer where they were recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from soundfit.report.figures.figure import Figure
from soundfit.report.numbers import finite, significant
from soundfit.report.run_view import RunView
from soundfit.report.words import Words

__all__ = ["stability_figure"]

MOST_SERIES = 8
MOST_POINTS = 200


def stability_figure(view: RunView, _: Words) -> Figure | None:
    """Return the picture; None where no gradient norms were recorded."""
    series = _series(view.get("stability", "gradient_norm"), _)
    if not series:
        return None
    points, rows, jumps = [], [], []
    for name, values in list(series.items())[:MOST_SERIES]:
        step = max(1, len(values) // MOST_POINTS)
        points += [
            {"name": name, "x": i + 1, "y": v} for i, v in list(enumerate(values))[::step] if v and v > 0
        ]
        known = [v for v in values if v is not None and v > 0]
        if known:
            rows.append([name, *(significant(v) for v in (known[0], known[-1], max(known), min(known)))])
            jumps.append((max(known) / min(known), name))
    if not jumps:
        return None
    ratio, name = max(jumps)
    sentence = _("The gradient norm of {name} spans a factor of {ratio} over the training").format(
        name=name, ratio=significant(ratio, 2)
    )
    sentence += (
        _(": no sign of vanishing or exploding gradients.")
        if ratio < 1e3
        else _(": look for a learning rate too high or a layer that saturates.")
    )
    return Figure(
        id="gradients",
        kind="series",
        title=_("Gradient norm over training"),
        sentence=sentence,
        data={
            "points": points,
            "names": list(series)[:MOST_SERIES],
            "x": {"label": _("epoch")},
            "y": {"label": _("gradient norm")},
        },
        columns=(_("layer"), _("first"), _("last"), _("largest"), _("smallest")),
        rows=rows,
    )


def _series(recorded: Any, _: Words) -> dict[str, list[float | None]]:
    """Return lists of numbers by name, whatever of the two forms was recorded."""
    if isinstance(recorded, Mapping):
        found = {str(name): values for name, values in recorded.items()}
    else:
        found = {_("all layers"): recorded}
    return {
        name: [finite(v) for v in values]
        for name, values in found.items()
        if isinstance(values, Sequence) and not isinstance(values, str) and len(values) > 1
    }
