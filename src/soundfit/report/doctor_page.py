"""The doctor's page: verdict, causes with their edits, and per-layer pictures over time. One file, no network.

Knows a Trace and the JSON report; knows nothing of torch.
"""

# ruff: noqa: E501

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from jinja2 import Environment

from soundfit.records import Trace

__all__ = ["doctor_page"]

_COLOURS = (
    "#2563eb",
    "#dc2626",
    "#059669",
    "#d97706",
    "#7c3aed",
    "#0891b2",
    "#be185d",
    "#4d7c0f",
    "#64748b",
    "#a16207",
)
_PICTURES = (
    ("gradient_rms", "Gradient by layer (root mean square)"),
    ("activation_std", "Activation spread by layer"),
    ("update_ratio", "Update to weight by layer"),
    ("zero_fraction", "Share of zeros after ReLU"),
    ("saturated_fraction", "Share of saturated units"),
    ("weight_norm", "Weight norm by layer"),
)
_TEMPLATE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>soundfit doctor: {{ name }}</title>
<style>
:root{color-scheme:light dark;--ink:#1e293b;--paper:#fff;--soft:#f8fafc;--quiet:#475569;--rule:#94a3b8}
@media (prefers-color-scheme:dark){:root{--ink:#e2e8f0;--paper:#0f172a;--soft:#1e293b;--quiet:#94a3b8;--rule:#64748b}}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:var(--ink);background:var(--paper);overflow-wrap:anywhere}
h1{font-size:1.5rem} h2{font-size:1.15rem;margin-top:2rem} .card{border-left:4px solid var(--rule);padding:.5rem 1rem;margin:1rem 0;background:var(--soft)}
.error{border-color:#dc2626}.warning{border-color:#d97706}.note{border-color:#2563eb} code,pre{font-family:ui-monospace,monospace;font-size:.875rem}
pre{background:#020617;color:#e2e8f0;padding:.6rem .8rem;overflow-x:auto} .grid{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,25rem),1fr));gap:1rem}
figure{margin:0} figcaption{font-size:.875rem;color:var(--quiet)} table{border-collapse:collapse} td{padding:.1rem .8rem .1rem 0;font-size:.875rem}
svg{width:100%;height:auto} .key span{display:inline-block;margin-right:1rem;font-size:.8rem}
</style></head><body>
<h1>{{ name }}: {{ "healthy" if report.healthy else "not healthy" }}</h1>
<p>{{ steps }} optimiser steps were seen.{% if report.healthy %} Nothing was found that keeps this training from its possible result.{% endif %}</p>
{% for d in report.diagnoses %}<div class="card {{ d.severity }}"><strong>{{ d.cause }}</strong> <code>{{ d.code }}</code> ({{ d.severity }}, confidence {{ "%.2f" | format(d.confidence) }})
{% if d.where.file %}<br><code>{{ d.where.file }}:{{ d.where.line }}</code>{% endif %}{% if d.where.module %} layer <code>{{ d.where.module }}</code>{% endif %}
<p>{{ d.prescription.text }}</p>{% if d.prescription.patch %}<pre>{{ d.prescription.patch }}</pre>{% endif %}
<table>{% for k, v in d.evidence.items() %}<tr><td>{{ k.replace("_", " ") }}</td><td>{{ v }}</td></tr>{% endfor %}</table></div>{% endfor %}
{% if report.repair %}<h2>Repair</h2><p>{% set r = report.repair %}{% if r.before is none %}Nothing was tried{% if r.why %}: {{ r.why }}{% endif %}.{% else %}{{ "Accepted" if r.accepted else "Not proven better, not applied" }}: held-out score {{ "%.3f" | format(r.before) }} before{% if r.after is not none %}, {{ "%.3f" | format(r.after) }} after{% endif %}{% if r.interval %}; 95 % interval of the gain {{ "%.3f to %.3f" | format(r.interval[0], r.interval[1]) }}{% endif %}.{% endif %}</p>
<table>{% for t in report.repair.trials %}<tr><td>{{ t.change }}</td><td>seed {{ t.seed }}</td><td>{{ "no score" if t.score is none else "%.3f" | format(t.score) }}</td></tr>{% endfor %}</table>{% endif %}
<h2>Over time, worst layers first</h2><div class="grid">{% for title, svg, key in pictures %}<figure>{{ svg | safe }}<div class="key">{% for colour, label in key %}<span style="color:{{ colour }}">■ {{ label }}</span>{% endfor %}</div><figcaption>{{ title }}</figcaption></figure>{% endfor %}</div>
</body></html>
"""


def doctor_page(trace: Trace, report: dict[str, Any], name: str) -> str:
    """Return one self-contained HTML page.

    Args:
        trace: what the watch recorded.
        report: the JSON report of the same visit.
        name: the script's name.
    """
    pictures = []
    run = {k: trace.series[k] for k in ("training_loss", "validation_loss") if k in trace.series}
    for title, lines in (
        ("Loss", run),
        ("Learning rate", {k: trace.series[k] for k in ("learning_rate",) if k in trace.series}),
        ("Gradient norm", {k: trace.series[k] for k in ("gradient_norm",) if k in trace.series}),
    ):
        pictures += _picture(title, trace.at, lines)
    for quantity, title in _PICTURES:
        lines = {layer: found[quantity] for layer, found in trace.layers.items() if quantity in found}
        worst = sorted(lines, key=lambda layer: -_badness(quantity, lines[layer], lines.values()))
        pictures += _picture(title, trace.at, {layer: lines[layer] for layer in worst[: len(_COLOURS)]})
    template = Environment(autoescape=True).from_string(_TEMPLATE)
    return template.render(name=name, report=report, pictures=pictures, steps=len(trace.at))


def _badness(quantity: str, values: Any, others: Iterable[Any]) -> float:
    """Return how far a layer is from where it should be: shares by size, sizes by their distance from the layers' median."""
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


def _picture(title: str, at: Any, lines: Mapping[str, Any]) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """Return one picture with its key, or nothing where there is nothing to draw."""
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
    high = high if high > low else low + 1.0
    last = max(float(x.max()) for x, _ in points.values())
    body, key = [], []
    for (label, (x, y)), colour in zip(points.items(), _COLOURS, strict=False):
        if len(x) > 400:
            pick = np.linspace(0, len(x) - 1, 400).astype(int)
            x, y = x[pick], y[pick]
        px = 50 + 340 * (x - 1) / max(last - 1, 1)
        py = 150 - 135 * (scale(y) - low) / (high - low)
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(px, py, strict=True))
        body.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.5" points="{path}"/>')
        key.append((colour, label))
    top, bottom = (10**high, 10**low) if log else (high, low)
    axis = (
        '<line x1="50" y1="150" x2="390" y2="150" stroke="currentColor" opacity=".5"/><line x1="50" y1="15" x2="50" y2="150" stroke="currentColor" opacity=".5"/>'
        f'<text fill="currentColor" x="45" y="20" text-anchor="end" font-size="10">{_short(top)}</text>'
        f'<text fill="currentColor" x="45" y="150" text-anchor="end" font-size="10">{_short(bottom)}</text>'
        f'<text fill="currentColor" x="390" y="164" text-anchor="end" font-size="10">step {last:.0f}</text>'
    )
    svg = f'<svg viewBox="0 0 400 170" role="img" aria-label="{title}">{axis}{"".join(body)}</svg>'
    return [(title + (" (log scale)" if log else ""), svg, key)]


def _short(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "∞"
