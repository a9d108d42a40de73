"""The doctor's words in a terminal. Knows the JSON report; knows nothing of torch and of no catalogue."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

__all__ = ["Translate", "verdict_text"]

Translate = Callable[[str], str]


def verdict_text(report: dict[str, Any], *, trained: bool = True, _: Translate = str) -> str:
    """Return the verdict, worst first.

    Args:
        report: the JSON report.
        trained: whether a backward pass was seen.
        _: translates a text; what a rule says about the very script stays as it is.
    """
    if not trained:
        return _("soundfit doctor: no training was seen (no backward pass).")
    found = report["diagnoses"]
    lines = [_verdict(report["healthy"], [d for d in found if d["severity"] != "note"], _)]
    names = {"error": _("error"), "warning": _("warning"), "note": _("note")}
    for one in found:
        lines += [
            "",
            _("{severity}: {cause} [{code}, confidence {confidence:.2f}]").format(
                severity=names.get(one["severity"], one["severity"]),
                cause=_(one["cause"]),
                code=one["code"],
                confidence=one["confidence"],
            ),
        ]
        at = _place(one["where"], _)
        if at:
            lines.append("  " + _("at {place}").format(place=", ".join(at)))
        numbers = {
            k: v for k, v in one["evidence"].items() if isinstance(v, int | float) and not isinstance(v, bool)
        }
        if numbers:
            seen = ", ".join(f"{k.replace('_', ' ')} {v:.4g}" for k, v in numbers.items())
            lines.append("  " + _("seen: {numbers}").format(numbers=seen))
        lines.append("  " + _("do: {text}").format(text=one["prescription"]["text"]))
        lines += ["    " + row for row in one["prescription"]["patch"].splitlines()]
    repair = report.get("repair")
    if repair is not None:
        lines += ["", _repair_text(repair, _)]
    return "\n".join(lines)


def _verdict(healthy: bool, pressing: list[Any], _: Translate) -> str:
    if healthy:
        return _("soundfit doctor: healthy.")
    if len(pressing) == 1:
        return _("soundfit doctor: one thing seems to keep this training from its possible result.")
    return _(
        "soundfit doctor: {n} findings, worst first, may keep this training from its possible result."
    ).format(n=len(pressing))


def _place(where: dict[str, Any], _: Translate) -> list[str]:
    at = []
    if where["file"]:
        at.append(f"{os.path.basename(where['file'])}:{where['line']}")
    if where["module"]:
        at.append(_("layer {name}").format(name=where["module"]))
    if where["step"]:
        at.append(_("step {n}").format(n=where["step"]))
    return at


def _repair_text(repair: dict[str, Any], _: Translate) -> str:
    if repair["before"] is None:
        return _("repair: nothing was tried ({why}).").format(why=repair.get("why", _("no change to try")))
    n = len(repair["trials"])
    told = _("repair accepted") if repair["accepted"] else _("repair not proven better, not applied")
    if repair["after"] is None:
        text = _("{told}: held-out score {before:.3f} before ({n} trainings).").format(
            told=told, before=repair["before"], n=n
        )
    elif repair["interval"]:
        low, high = repair["interval"]
        text = _(
            "{told}: held-out score {before:.3f} before, {after:.3f} after (gain {low:.3f} to {high:.3f}, "
            "{n} trainings)."
        ).format(told=told, before=repair["before"], after=repair["after"], low=low, high=high, n=n)
    else:
        text = _("{told}: held-out score {before:.3f} before, {after:.3f} after ({n} trainings).").format(
            told=told, before=repair["before"], after=repair["after"], n=n
        )
    blind = repair.get("blind")
    if blind and blind.get("score") is not None:
        text += _(" Blind search over rates and scaling would have reached {score:.3f}.").format(
            score=blind["score"]
        )
    return text
