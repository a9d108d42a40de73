"""Identifiers: names of rows that tell the target, and columns that hardly vary."""

from __future__ import annotations

import numpy as np

from soundfit.data.audit.alone import explained
from soundfit.data.audit.names import names_individual, says_clock
from soundfit.data.audit.view import ALONE_ROWS, View
from soundfit.records import Finding
from soundfit.records.said import say

__all__ = ["find_identifiers", "find_near_constant"]

NEARLY_ALL = 0.995


def find_identifiers(view: View) -> list[Finding]:
    """Find identifiers: those that tell the target by their order, and those that models would read."""
    findings = []
    rows = view.sample(ALONE_ROWS, salt=1)
    target = view.target(rows)
    for feature in view.features:
        if feature.kind == "date" or (says_clock(feature.name) and feature.kind != "id"):
            continue
        unique = feature.n_distinct >= 0.95 * view.n and view.n >= 20
        named = names_individual(feature.name) and unique and (feature.whole or feature.numbers is None)
        if not (feature.kind == "id" or named or view.is_counter(feature)):
            continue
        rng = np.random.default_rng([view.seed, 17])
        tells = 0.0
        if feature.numbers is not None:
            tells = explained(feature.numbers[rows], target, rng)
        if not feature.used and tells < 0.1:
            continue
        findings.append(
            Finding(
                "id-column",
                "warning",
                say("Column {name!r} identifies rows", name=feature.name)
                + (say(" and models would read it") if feature.used else "")
                + (
                    say(
                        "; the order of its numbers alone explains {tells:.0%} of the target, so it (or "
                        "the file's order) carries the target",
                        tells=tells,
                    )
                    if tells >= 0.1
                    else ""
                )
                + ".",
                columns=(feature.name,),
                evidence={"explained_by_order": round(tells, 4)},
                fix=say("--drop {name!r}", name=feature.name)
                + ("" if feature.used else say("; models do not read it")),
            )
        )
    return findings


def find_near_constant(view: View) -> list[Finding]:
    """Find columns with one value in at least 99.5 % of the rows."""
    findings = []
    for feature in view.inputs:
        top = int(feature.counts.max())
        if top < NEARLY_ALL * view.n or top == view.n:
            continue
        code = int(feature.counts.argmax())
        value = feature.series.iloc[int(np.argmax(feature.codes == code))]
        findings.append(
            Finding(
                "constant-column",
                "note",
                say(
                    "Column {name!r} is {shown} in {top:.2%} of the rows.",
                    name=feature.name,
                    shown=_shown(value),
                    top=top / view.n,
                ),
                columns=(feature.name,),
                rows=view.file_rows(np.flatnonzero(feature.codes != code)),
                n_rows=view.n - top,
                evidence={"share": round(top / view.n, 5)},
                fix=say("It can tell little: --drop {name!r}, or leave it.", name=feature.name),
            )
        )
    return findings


def _shown(value: object) -> str:
    if value is None or value != value:
        return "empty"
    return say("{value:g}", value=value) if isinstance(value, float) else repr(value)
