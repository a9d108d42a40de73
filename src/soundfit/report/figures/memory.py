"""How much of the loss's gradient reaches each step of a sequence: why an LSTM holds what an RNN forgets."""

from __future__ import annotations

from collections.abc import Mapping

from soundfit.report.figures.figure import Figure
from soundfit.report.metric_words import MetricWords
from soundfit.report.numbers import finite, significant
from soundfit.report.run_view import RunView
from soundfit.report.words import Words

__all__ = ["memory_figure"]

# Below this share of the last step's gradient, the first step does not teach a net anything.
LOST = 1e-2
_NAMES = {"lstm": "LSTM", "gru": "GRU", "rnn": "RNN"}


def memory_figure(view: RunView, metric: MetricWords, _: Words) -> Figure | None:
    """Return the picture; None where no recurrent net was trained."""
    recorded = view.get("stability", "gradient_by_step", default={})
    points, rows, reach = [], [], {}
    for kind, given in recorded.items():
        norms = [finite(v) for v in given.get("norms", [])] if isinstance(given, Mapping) else []
        name = _NAMES.get(kind, kind)
        known = [(i + 1, v) for i, v in enumerate(norms) if v is not None and v > 0]
        if len(known) < 2:
            continue
        points += [{"name": name, "x": i, "y": v} for i, v in known]
        reach[name] = known[0][1] / known[-1][1]
        rows.append(
            [
                name,
                significant(known[0][1]),
                significant(known[-1][1]),
                significant(reach[name], 2),
                metric.show(given.get("score")),
            ]
        )
    if not reach:
        return None
    return Figure(
        id="memory",
        kind="series",
        title=_("What the loss teaches each step"),
        sentence=_sentence(reach, max(int(p["x"]) for p in points), _),
        data={
            "points": points,
            "names": list(reach),
            "x": {"label": _("step")},
            "y": {"label": _("gradient norm")},
        },
        columns=(_("model"), _("first step"), _("last step"), _("ratio"), metric.label),
        rows=rows,
    )


def _sentence(reach: Mapping[str, float], steps: int, _: Words) -> str:
    """Say who is taught by the first step; of RNN and gated nets the contrast, where both were trained."""
    parts: list[str] = []
    gated = {name: share for name, share in reach.items() if name != "RNN"}
    if "RNN" in reach and reach["RNN"] < LOST:
        parts.append(
            _(
                "In the RNN the first of {steps} steps receives {share} of the gradient of the last: the "
                "product of so many factors has vanished, so that what happened then cannot teach it."
            ).format(steps=f"{steps:,}", share=significant(reach["RNN"], 2))
        )
    elif "RNN" in reach:
        parts.append(
            _("In the RNN the first of {steps} steps receives {share} of the gradient of the last.").format(
                steps=f"{steps:,}", share=significant(reach["RNN"], 2)
            )
        )
    if gated:
        name = max(gated, key=lambda n: gated[n])
        text = (
            _("In the {name} it receives {share}: its state is a sum that gates keep, not a product.")
            if gated[name] >= LOST
            else _("In the {name} it receives {share}: too little as well; look for shorter sequences.")
        )
        parts.append(text.format(name=name, share=significant(gated[name], 2)))
    return " ".join(parts)
