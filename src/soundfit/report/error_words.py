"""An error's paragraph in the reader's language. Knows no command and no exit code."""

from __future__ import annotations

from soundfit.errors import SoundfitError
from soundfit.records.said import Said, retell
from soundfit.report.words import Words

__all__ = ["error_paragraph"]


def error_paragraph(error: SoundfitError, _: Words) -> str:
    """Return rule, what was received and fix, each translated where a catalogue knows it."""
    if _.is_source:
        return error.paragraph()
    parts = [_stopped(_told(error.rule, _))]
    if error.received:
        parts.append(_stopped(_("Received: {what}").format(what=_told(error.received, _))))
    if error.fix:
        parts.append(_stopped(_("Fix: {what}").format(what=_told(error.fix, _))))
    return "".join(parts)


def _told(text: str, _: Words) -> str:
    """Return a part of an error; the hints of :func:`soundfit.errors.did_you_mean` too."""
    if isinstance(text, Said):
        return retell(text, {}, _)
    # errors.py stands below the records, so its hints are plain text.
    if text.startswith("did you mean ") and text.endswith("?"):
        return _("did you mean {name}?").format(name=text.removeprefix("did you mean ").removesuffix("?"))
    if text.startswith("the names are: "):
        return _("the names are: {list}").format(list=text.removeprefix("the names are: "))
    return _(text)


def _stopped(text: str) -> str:
    return text if text.endswith(("?", "!", "…", "？", "！")) else text.rstrip(".。") + "。"
