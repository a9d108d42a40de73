"""Labels: classes that are few or far from balanced."""

from __future__ import annotations

import numpy as np

from soundfit.data.audit.view import View
from soundfit.records import Finding, Severity
from soundfit.records.said import joined, say

__all__ = ["find_imbalance", "find_rare_classes"]

#: A class needs rows for a test set and for each of five folds, twice over.
FEW = 10


def find_imbalance(view: View) -> list[Finding]:
    """Find classes far from equal in number."""
    if view.regression:
        return []
    counts = np.bincount(view.table.target.astype(np.int64), minlength=len(view.table.classes))
    largest, smallest = int(counts.max()), int(counts[counts > 0].min())
    share = largest / counts.sum()
    if largest < 4 * smallest or (share < 0.8 and largest < 10 * smallest):
        return []
    severity: Severity = "warning" if share >= 0.9 else "note"
    common, rare = (
        view.table.classes[int(counts.argmax())],
        view.table.classes[int(np.where(counts > 0, counts, largest).argmin())],
    )
    return [
        Finding(
            "class-imbalance",
            severity,
            say(
                "{share:.1%} of the rows are {common!r}, {smallest:.1%} are {rare!r}: always saying "
                "{common!r} is right {share:.1%} of the time.",
                share=share,
                common=common,
                smallest=smallest / counts.sum(),
                rare=rare,
            ),
            columns=(view.table.target_name,),
            evidence={"largest": largest, "smallest": smallest, "majority_share": round(share, 5)},
            fix=say("Read log-loss, balanced accuracy or average precision, not accuracy; keep --stratify."),
        )
    ]


def find_rare_classes(view: View) -> list[Finding]:
    """Find classes with too few rows for a test set and folds."""
    if view.regression:
        return []
    y = view.table.target.astype(np.int64)
    counts = np.bincount(y, minlength=len(view.table.classes))
    rare = np.flatnonzero((counts > 0) & (counts < FEW))
    if len(rare) == 0:
        return []
    named = joined(
        ", ",
        (say("{classes!r} ({counts})", classes=view.table.classes[c], counts=counts[c]) for c in rare[:8]),
    )
    rows = np.flatnonzero(np.isin(y, rare))
    return [
        Finding(
            "rare-class",
            "warning",
            say(
                "{n_rare} of {n_counts} classes have fewer than {few} rows: {named}{what}. Some folds or "
                "the exam will lack them, and their scores are chance.",
                n_rare=len(rare),
                n_counts=len(counts),
                few=FEW,
                named=named,
                what=", …" if len(rare) > 8 else "",
            ),
            columns=(view.table.target_name,),
            rows=view.file_rows(rows),
            n_rows=len(rows),
            evidence={"classes": len(rare), "smallest": int(counts[rare].min())},
            fix=say("Join them to a neighbouring class, leave their rows out, or collect more."),
        )
    ]
