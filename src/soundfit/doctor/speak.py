"""The doctor's words in a terminal. Knows the report; knows nothing of torch and of no catalogue."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from soundfit.records.said import Said, retell

__all__ = ["Translate", "evidence_name", "told", "verdict_text"]

Translate = Callable[[str], str]


def told(text: Any, _: Translate) -> Any:
    """Return a text of the report in the reader's language; a number or a list as it is."""
    if isinstance(text, Said):
        return retell(text, {}, _)
    return _(text) if isinstance(text, str) else text


def evidence_name(key: str, _: Translate) -> str:
    """Return in the reader's words what a piece of evidence measures."""
    shared = {
        "score": _("score"),
        "possible_score": _("possible score"),
        "constant_score": _("constant score"),
        "judged_output": _("judged output"),
        "outputs": _("outputs"),
        "judged_by": _("judged by"),
    }
    return shared.get(key) or _(key.replace("_", " "))


def verdict_text(report: dict[str, Any], *, trained: bool = True, _: Translate = str) -> str:
    """Return the verdict, worst first.

    Args:
        report: the report of the visit, as :meth:`Visit.to_dict` returns it.
        trained: whether a backward pass was seen.
        _: translates a text.
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
                cause=told(one["cause"], _),
                code=one["code"],
                confidence=one["confidence"],
            ),
        ]
        at = _place(one["where"], _)
        if at:
            lines.append("  " + _("at {place}").format(place=_(", ").join(at)))
        numbers = {
            k: v for k, v in one["evidence"].items() if isinstance(v, int | float) and not isinstance(v, bool)
        }
        if numbers:
            seen = _(", ").join(f"{evidence_name(k, _)} {v:.4g}" for k, v in numbers.items())
            lines.append("  " + _("seen: {numbers}").format(numbers=seen))
        lines.append("  " + _("do: {text}").format(text=told(one["prescription"]["text"], _)))
        lines += ["    " + row for row in told(one["prescription"]["patch"], _).splitlines()]
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
        why = told(repair["why"], _) if "why" in repair else _("no change to try")
        return _("repair: nothing was tried ({why}).").format(why=why)
    n = len(repair["trials"])
    outcome = _("repair accepted") if repair["accepted"] else _("repair not proven better, not applied")
    if repair["after"] is None:
        text = _("{told}: score {before:.3f} before ({n} trainings).").format(
            told=outcome, before=repair["before"], n=n
        )
    elif repair["interval"]:
        low, high = repair["interval"]
        text = _(
            "{told}: score {before:.3f} before, {after:.3f} after (gain {low:.3f} to {high:.3f}, "
            "{n} trainings)."
        ).format(told=outcome, before=repair["before"], after=repair["after"], low=low, high=high, n=n)
    else:
        text = _("{told}: score {before:.3f} before, {after:.3f} after ({n} trainings).").format(
            told=outcome, before=repair["before"], after=repair["after"], n=n
        )
    if not repair["accepted"] and "why" in repair:
        text += _(" Unproven: {why}.").format(why=told(repair["why"], _))
    if repair.get("rows"):
        text += _(" Judged on {rows}.").format(rows=told(repair["rows"], _))
    blind = repair.get("blind")
    if blind and blind.get("score") is not None:
        text += _(" Blind search over rates and scaling would have reached {score:.3f}.").format(
            score=blind["score"]
        )
    return text
