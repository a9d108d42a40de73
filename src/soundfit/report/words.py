"""Words: visible text in the reader's language, through gettext. Knows no run and no page.

Every visible string of the report passes through one object, by convention named ``_``, so that the
extraction tools of gettext find it. Where a catalogue lacks a message, English stands.
"""

from __future__ import annotations

import gettext
from collections.abc import Iterable
from importlib.resources import files

from soundfit.errors import UsageError
from soundfit.records.said import say

__all__ = ["LANGUAGES", "Words"]

LANGUAGES = ("en", "zh")


class Words:
    """Translates: ``_("text")``, and ``_.many("{n} row", "{n} rows", n)`` where a number decides."""

    def __init__(self, lang: str = "en") -> None:
        if lang not in LANGUAGES:
            raise UsageError(
                say("A language is one of {list}", list=", ".join(LANGUAGES)),
                received=repr(lang),
                fix="leave --lang out for English",
            )
        self.lang = lang
        folder = files("soundfit.report") / "locale"
        self._catalogue = gettext.translation("soundfit", str(folder), languages=[lang], fallback=True)

    @property
    def is_source(self) -> bool:
        """Whether texts are read in the language they were written in."""
        return self.lang == "en"

    def __call__(self, text: str) -> str:
        # gettext keeps its own header under the empty message.
        return self._catalogue.gettext(text) if text else ""

    def sentences(self, said: Iterable[str]) -> str:
        """Return sentences one after another; where they end in 。 no space follows."""
        return (" " if self.is_source else "").join(said)

    def many(self, one: str, more: str, n: int) -> str:
        """Return the form for ``n`` things, with ``{n}`` filled in with thousands set apart."""
        return self._catalogue.ngettext(one, more, n).format(n=f"{n:,}")
