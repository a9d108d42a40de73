"""Messages: the translated texts of terminal, report, pages and lessons.

    python scripts/messages.py           # update every catalogue from the sources and compile it
    python scripts/messages.py --check   # change nothing; exit 1 where one is not up to date or not whole

Texts are found where they are written: ``_("…")`` and ``_.many("…", "…", n)`` in code and templates,
``say("…")`` for sentences of records, the names of stages (``on_stage("…")``), and the rule, what was
received and the fix of an error that is raised. Python's own parser reads code, Jinja's the templates.
Help is taken from the tree of commands as it is shown.
"""

from __future__ import annotations

import argparse
import ast
import io
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import jinja2
from babel.messages.catalog import Catalog, Message
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from jinja2 import nodes
from typer.main import get_command

from soundfit.cli.language import help_texts
from soundfit.cli.main import app

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "soundfit"
LOCALE = PACKAGE / "report" / "locale"
LANGUAGES = ("zh",)
DATE = datetime(2026, 11, 25, tzinfo=UTC)
TEXTS = {"_", "N_", "say", "on_stage", "stage"}
PARAMETERS = {"severity", "place", "module", "step", "patch", "change"}
ERRORS = {"UsageError", "DataError", "StopError", "Interrupted", "SoundfitError"}

Found = tuple[str, int, str | tuple[str, str]]


def messages() -> Iterator[Found]:
    """Yield (file, line, text) or (file, line, (one, more)) of every text that a reader may see."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                for text in _texts(node):
                    yield str(path.relative_to(ROOT)), node.lineno, text
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
    for text in help_texts(get_command(app)):
        yield str((PACKAGE / "cli").relative_to(ROOT)), 0, text


def _texts(call: ast.Call) -> Iterator[str | tuple[str, str]]:
    """Yield the texts of one call in Python."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name in TEXTS and call.args:
        yield from _constants(call.args[0])
    elif name == "many" and len(call.args) >= 2:
        one, more = ([*_constants(a)] for a in call.args[:2])
        if one and more:
            yield one[0], more[0]
    elif name == "diagnose" and len(call.args) >= 2:
        yield from _constants(call.args[1])
        # What is not a parameter is a piece of evidence, shown by its name.
        shown = (k.arg for k in call.keywords if k.arg and k.arg not in PARAMETERS)
        yield from (one.replace("_", " ") for one in shown)
    elif name in ERRORS:
        for part in (*call.args[:1], *(k.value for k in call.keywords if k.arg in ("received", "fix"))):
            yield from _constants(part)


def _constants(node: ast.expr) -> Iterator[str]:
    """Yield a text that is written out, or either of two that a condition chooses from."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from _constants(node.body)
        yield from _constants(node.orelse)


def template() -> Catalog:
    """Return the catalogue of all texts, untranslated."""
    # A fixed date: the files change when a text does, not whenever they are written.
    catalog = Catalog(project="soundfit", charset="utf-8", fuzzy=False, creation_date=DATE)
    for path, _line, text in messages():
        # A text without letters or marks of its own is the same in every language.
        if re.search(
            r"[^\W\d_]|[,.;:]", re.sub(r"\{[^}]*\}", "", text if isinstance(text, str) else text[0])
        ):
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
    """Return the catalogue as gettext reads it, the same by each version of Babel."""
    header, *messages = catalog
    kept = [line for line in str(header.string).splitlines(True) if not line.startswith("Generated-By")]
    header.string = "".join(kept)
    file = io.BytesIO()
    write_mo(file, _Messages([header, *messages], catalog.charset))  # type: ignore[arg-type]
    return file.getvalue()


class _Messages:
    """What :func:`write_mo` reads of a catalogue."""

    def __init__(self, messages: list[Message], charset: str) -> None:
        self.messages, self.charset = messages, charset

    def __iter__(self) -> Iterator[Message]:
        return iter(self.messages)


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
