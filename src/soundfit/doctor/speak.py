"""The doctor's words in a terminal. Knows the JSON report; knows nothing of torch."""

# ruff: noqa: E501

from __future__ import annotations

import os
from typing import Any

__all__ = ["verdict_text"]


def verdict_text(report: dict[str, Any], *, trained: bool = True) -> str:
    """Return the verdict, worst first."""
    if not trained:
        return "soundfit doctor: no training was seen (no backward pass)."
    found = report["diagnoses"]
    lines = [
        "soundfit doctor: healthy." if report["healthy"] else
        f"soundfit doctor: {_count([d for d in found if d['severity'] != 'note'])} keep this training from its possible result."
    ]  # fmt: skip
    for one in found:
        lines.append("")
        lines.append(f"{one['severity']}: {one['cause']} [{one['code']}, confidence {one['confidence']:.2f}]")
        where = one["where"]
        at = []
        if where["file"]:
            at.append(f"{os.path.basename(where['file'])}:{where['line']}")
        if where["module"]:
            at.append(f"layer {where['module']}")
        if where["step"]:
            at.append(f"step {where['step']}")
        if at:
            lines.append("  at " + ", ".join(at))
        numbers = {
            k: v for k, v in one["evidence"].items() if isinstance(v, int | float) and not isinstance(v, bool)
        }
        if numbers:
            lines.append("  seen: " + ", ".join(f"{k.replace('_', ' ')} {v:.4g}" for k, v in numbers.items()))
        lines.append("  do: " + one["prescription"]["text"])
        lines += ["    " + row for row in one["prescription"]["patch"].splitlines()]
    repair = report.get("repair")
    if repair is not None:
        lines.append("")
        lines.append(_repair_text(repair))
    return "\n".join(lines)


def _count(found: list[Any]) -> str:
    return "one thing seems to" if len(found) == 1 else f"{len(found)} findings, worst first, may"


def _repair_text(repair: dict[str, Any]) -> str:
    if repair["before"] is None:
        return f"repair: nothing was tried ({repair.get('why', 'no change to try')})."
    low, high = repair["interval"] or (float("nan"), float("nan"))
    after = repair["after"] if repair["after"] is not None else float("nan")
    word = "accepted" if repair["accepted"] else "not proven better, not applied"
    text = f"repair {word}: held-out score {repair['before']:.3f} before, {after:.3f} after (gain {low:.3f} to {high:.3f}, {len(repair['trials'])} trainings)."
    blind = repair.get("blind")
    if blind and blind.get("score") is not None:
        text += f" Blind search over rates and scaling would have reached {blind['score']:.3f}."
    return text
