"""The doctor's page: verdict, causes with their edits, per-layer pictures over time. One file, no network.

Knows a Trace and the JSON report; knows nothing of torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from soundfit.doctor.speak import evidence_name, told
from soundfit.records import Trace
from soundfit.report.html import environment
from soundfit.report.numbers import significant
from soundfit.report.words import Words

__all__ = ["doctor_page"]

# Room beside the axis for a number of nine characters, as -1.23e+10.
_LEFT = 70
_COLOURS = (
    "var(--training)",
    "var(--validation)",
    "var(--test)",
    "#b5527f",
    "#7c5cd6",
    "#0e7f95",
    "#8a6d00",
    "#b0413e",
    "#5b7a1e",
    "var(--baseline)",
)

Picture = tuple[str, str, list[tuple[str, str]], str]


def doctor_page(trace: Trace, report: dict[str, Any], name: str, *, lang: str = "en") -> str:
    """Return one self-contained HTML page.

    Args:
        trace: what the watch recorded.
        report: of the same visit, as :meth:`Visit.to_dict` returns it.
        name: the script's name.
        lang: language of the page.
    """
    _ = Words(lang)
    return (
        environment(lang)
        .get_template("doctor.html.j2")
        .render(
            name=name,
            report=report,
            headline=_headline(report, _),
            repair=_repair(report.get("repair"), _),
            pictures=_pictures(trace, _),
            steps=len(trace.at),
            told=lambda text: told(text, _),
            evidence=lambda one: {evidence_name(name, _): _plain(value, _) for name, value in one.items()},
        )
    )


def _headline(report: Mapping[str, Any], _: Words) -> str:
    if report["healthy"]:
        return _("Nothing was found that keeps this training from its possible result.")
    pressing = [d for d in report["diagnoses"] if d["severity"] != "note"]
    if not pressing:
        return _("Something keeps this training from its possible result, and no cause was found.")
    first = _("Most likely: {cause}.").format(cause=told(pressing[0]["cause"], _))
    if len(pressing) == 1:
        return first
    more = _.many("{n} more cause below.", "{n} more causes below.", len(pressing) - 1)
    return _.sentences([first, more])


def _repair(repair: Mapping[str, Any] | None, _: Words) -> str:
    """Return what was tried and what it brought; nothing where no repair was asked for."""
    if repair is None:
        return ""
    if repair["before"] is None:
        why = told(repair.get("why"), _)
        return _("Nothing was tried: {why}.").format(why=why) if why else _("Nothing was tried.")
    said = _("Accepted: ") if repair["accepted"] else _("Not proven better, not applied: ")
    said += _("score {value:.3f} before").format(value=repair["before"])
    if repair["after"] is not None:
        said += _(", {value:.3f} after").format(value=repair["after"])
    if repair["interval"]:
        low, high = repair["interval"]
        said += _("; 95 % interval of the gain {low:.3f} to {high:.3f}").format(low=low, high=high)
    if repair.get("rows"):
        said += _("; judged on {rows}").format(rows=told(repair["rows"], _))
    return said + _(".")


def _plain(value: Any, _: Words) -> Any:
    """Return a piece of evidence as it is shown."""
    if isinstance(value, (list, tuple)):
        return _(", ").join(str(_plain(one, _)) for one in value)
    if value is None or isinstance(value, bool):
        return {None: "–", True: _("yes"), False: _("no")}[value]
    return told(value, _)


def _pictures(trace: Trace, _: Words) -> list[Picture]:
    run = {
        _("training loss"): "training_loss",
        _("validation loss"): "validation_loss",
    }
    losses = {label: trace.series[key] for label, key in run.items() if key in trace.series}
    pictures = _picture(_("Loss"), trace.at, losses, _)
    for title, key in ((_("Learning rate"), "learning_rate"), (_("Gradient norm"), "gradient_norm")):
        if key in trace.series:
            pictures += _picture(title, trace.at, {title: trace.series[key]}, _)
    for quantity, title in (
        ("gradient_rms", _("Gradient by layer (root mean square)")),
        ("activation_std", _("Activation spread by layer")),
        ("update_ratio", _("Update to weight by layer")),
        ("zero_fraction", _("Share of zeros after ReLU")),
        ("saturated_fraction", _("Share of saturated units")),
        ("weight_norm", _("Weight norm by layer")),
    ):
        lines = {layer: found[quantity] for layer, found in trace.layers.items() if quantity in found}
        worst = sorted(lines, key=lambda layer: -_badness(quantity, lines[layer], lines.values()))
        pictures += _picture(title, trace.at, {layer: lines[layer] for layer in worst[: len(_COLOURS)]}, _)
    return pictures


def _badness(quantity: str, values: Any, others: Iterable[Any]) -> float:
    """Return how far a layer is from where it should be.

    Shares count by their size, sizes by their distance from the layers' median.
    """
    last = _last(values)
    if quantity.endswith("fraction"):
        return last
    known = [abs(v) for v in (_last(one) for one in others) if v == v and v != 0]
    if last != last or last == 0 or not known:
        return math.inf
    return abs(math.log10(abs(last) / float(np.median(known))))


def _last(values: Any) -> float:
    y = np.asarray(values, dtype=float)
    y = y[np.isfinite(y)]
    return float(y[-1]) if len(y) else math.nan


def _picture(title: str, at: Any, lines: Mapping[str, Any], _: Words) -> list[Picture]:
    """Return one picture with its key and sentence, or nothing where there is nothing to draw."""
    points = {}
    for label, values in lines.items():
        y = np.asarray(values, dtype=float)
        seen = np.isfinite(y)
        if seen.any():
            points[label] = (np.asarray(at)[seen], y[seen])
    if not points:
        return []
    every = np.concatenate([y for _, y in points.values()])
    log = bool(every.min() > 0) and float(every.max() / every.min()) > 50
    scale = np.log10 if log else (lambda v: v)
    low, high = float(scale(every).min()), float(scale(every).max())
    if not high > low:
        # A level line runs through the middle.
        low, high = low - 0.5 * (abs(low) or 1.0), high + 0.5 * (abs(high) or 1.0)
    last = max(float(x.max()) for x, _ in points.values())
    body, key = [], []
    for (label, (x, y)), colour in zip(points.items(), _COLOURS, strict=False):
        if len(x) > 400:
            pick = np.linspace(0, len(x) - 1, 400).astype(int)
            x, y = x[pick], y[pick]
        px = _LEFT + (390 - _LEFT) * (x - 1) / max(last - 1, 1)
        py = 150 - 135 * (scale(y) - low) / (high - low)
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(px, py, strict=True))
        body.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.5" points="{path}"/>')
        key.append((colour, label))
    top, bottom = (10**high, 10**low) if log else (high, low)
    text = '<text fill="currentColor" font-size="12" text-anchor="end"'
    axis = (
        f'<path d="M{_LEFT} 15V150H390" fill="none" stroke="currentColor" opacity=".5"/>'
        f'{text} x="{_LEFT - 5}" y="20">{_short(top)}</text>'
        f'{text} x="{_LEFT - 5}" y="150">{_short(bottom)}</text>'
        f'{text} x="390" y="167">{_("step {n}").format(n=f"{last:,.0f}")}</text>'
    )
    told = title + (_(" (log scale)") if log else "")
    svg = f'<svg viewBox="0 0 400 174" role="img" aria-label="{told}">{axis}{"".join(body)}</svg>'
    return [(told, svg, key, _sentence(points, _))]


def _sentence(points: Mapping[str, tuple[Any, Any]], _: Words) -> str:
    """Say where the first (the worst) line began and ended, and beside others where those ended."""
    (label, (_x, y)), *others = points.items()
    start, end = significant(float(y[0])), significant(float(y[-1]))
    if start == end:
        said = [_("{label}: {end} at the beginning and at the end.").format(label=label, end=end)]
    else:
        said = [_("{label}: from {start} to {end}.").format(label=label, start=start, end=end)]
    ends = [float(one[-1]) for _name, (_at, one) in others]
    if len(ends) == 1:
        said.append(_("At the end {label}: {end}.").format(label=others[0][0], end=significant(ends[0])))
    elif ends:
        said.append(
            _("The others ended between {low} and {high}.").format(
                low=significant(min(ends)), high=significant(max(ends))
            )
        )
    return _.sentences(said)


def _short(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "∞"
