"""Messages: the translated texts of terminal, report, pages and lessons.

    python scripts/messages.py           # update every catalogue from the sources and compile it
    python scripts/messages.py --check   # change nothing; exit 1 where one is not up to date or not whole

Texts are found where they are written: ``_("…")`` and ``_.many("…", "…", n)`` in code and templates,
``say("…")`` for sentences of records. Babel reads Python; templates are read by Jinja's own parser.
"""

from __future__ import annotations

import argparse
import io
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import jinja2
from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from jinja2 import nodes

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "soundfit"
LOCALE = PACKAGE / "report" / "locale"
LANGUAGES = ("zh",)
DATE = datetime(2026, 11, 25, tzinfo=UTC)
KEYWORDS = {"_": None, "say": None, "many": (1, 2)}

Found = tuple[str, int, str | tuple[str, str]]


def messages() -> Iterator[Found]:
    """Yield (file, line, text) or (file, line, (one, more)) of every text that a reader may see."""
    for path in sorted(PACKAGE.rglob("*.py")):
        with path.open("rb") as file:
            for line, message, _comments, _context in extract("python", file, keywords=KEYWORDS):
                yield str(path.relative_to(ROOT)), line, message
    environment = jinja2.Environment()
    for path in sorted(PACKAGE.rglob("*.j2")):
        for call in environment.parse(path.read_text(encoding="utf-8")).find_all(nodes.Call):
            texts = [a.value for a in call.args if isinstance(a, nodes.Const) and isinstance(a.value, str)]
            named = isinstance(call.node, nodes.Name) and call.node.name == "_"
            plural = isinstance(call.node, nodes.Getattr) and call.node.attr == "many"
            if named and texts:
                yield str(path.relative_to(ROOT)), call.lineno, texts[0]
            elif plural and len(texts) == 2:
                yield str(path.relative_to(ROOT)), call.lineno, (texts[0], texts[1])


def template() -> Catalog:
    """Return the catalogue of all texts, untranslated."""
    # A fixed date: the files change when a text does, not whenever they are written.
    catalog = Catalog(project="soundfit", charset="utf-8", fuzzy=False, creation_date=DATE)
    for path, _line, text in messages():
        # A text without letters of its own is the same in every language.
        if re.search(r"[^\W\d_]", re.sub(r"\{[^}]*\}", "", text if isinstance(text, str) else text[0])):
            catalog.add(text, locations=[(path, 0)])
    return catalog


def updated(language: str, texts: Catalog) -> Catalog:
    """Return a language's catalogue with the texts of today: new ones empty, vanished ones gone."""
    path = LOCALE / language / "LC_MESSAGES" / "soundfit.po"
    if path.exists():
        with path.open("rb") as file:
            catalog = read_po(file, locale=language)
    else:
        catalog = Catalog(locale=language)
    catalog.update(texts, no_fuzzy_matching=True)
    catalog.obsolete.clear()
    catalog.revision_date = DATE
    return catalog


def missing(catalog: Catalog) -> list[str]:
    """Return the texts that have no translation."""
    return [
        str(m.id)
        for m in catalog
        if m.id and not (all(m.string) if isinstance(m.string, tuple) else m.string)
    ]


def compiled(catalog: Catalog) -> bytes:
    """Return the catalogue as gettext reads it."""
    file = io.BytesIO()
    write_mo(file, catalog)
    return file.getvalue()


def main() -> int:
    """Update or check the catalogues; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--check", action="store_true", help="change nothing")
    check = parser.parse_args().check
    texts = template()
    code = 0
    for language in LANGUAGES:
        folder = LOCALE / language / "LC_MESSAGES"
        catalog = updated(language, texts)
        binary = compiled(catalog)
        left = missing(catalog)
        if check:
            path = folder / "soundfit.mo"
            stale = not path.exists() or path.read_bytes() != binary
            code |= bool(left) or stale
            print(f"{language}: {len(left)} texts without translation{', catalogue stale' if stale else ''}")
        else:
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / "soundfit.po").open("wb") as file:
                write_po(file, catalog, width=110, omit_header=False, sort_output=True)
            (folder / "soundfit.mo").write_bytes(binary)
            print(f"{language}: {len(catalog)} texts, {len(left)} without translation")
    return code


if __name__ == "__main__":
    sys.exit(main())
