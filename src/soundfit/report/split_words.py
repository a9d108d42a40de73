"""The kinds of split in words."""

from __future__ import annotations

from soundfit.report.words import Words

__all__ = ["split_words"]


def split_words(kind: str, _: Words) -> str:
    """Return the words for a kind of split of ``run.json``; one that nobody knows stands for itself."""
    words = {
        "k-fold": _("k-fold"),
        "stratified": _("stratified"),
        "group": _("by group"),
        "stratified-group": _("stratified, by group"),
        "time": _("by time"),
        "group-time": _("by time and group"),
        "holdout": _("holdout"),
        "given": _("given"),
    }
    return words.get(kind, kind)
