"""Translations are whole, up to date with the sources, and fill in the same values."""

from __future__ import annotations

import ast
import importlib.util
import re
import string
from pathlib import Path
from types import ModuleType

import pytest
from babel.messages.pofile import read_po

from soundfit.errors import UsageError, did_you_mean
from soundfit.records.said import say
from soundfit.report.error_words import error_paragraph
from soundfit.report.words import Words

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def catalogues() -> ModuleType:
    spec = importlib.util.spec_from_file_location("messages", ROOT / "scripts" / "messages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_no_text_is_left_untranslated(catalogues: ModuleType) -> None:
    texts = catalogues.template()
    assert len(texts) > 300
    for language in catalogues.LANGUAGES:
        assert catalogues.missing(catalogues.updated(language, texts)) == []


def test_stages_and_errors_are_said_in_words_that_can_be_found() -> None:
    """An f-string is text by the time a reader's language is known; say("…") remembers its parts."""
    package = ROOT / "src" / "soundfit"
    found = []
    for path in sorted(package.rglob("*.py")):
        # What a damaged model.json lacks is told to whoever repairs the file, in the words of its keys.
        if path.parent.name in ("artifact", "onnx") or path.name in ("saved.py", "sklearn.py", "app.py"):
            continue
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for part in _parts_for_readers(call):
                pieces = [part]
                while any(isinstance(piece, ast.BinOp) for piece in pieces):
                    sums = [piece for piece in pieces if isinstance(piece, ast.BinOp)]
                    pieces = [piece for piece in pieces if not isinstance(piece, ast.BinOp)]
                    pieces += [side for one in sums for side in (one.left, one.right)]
                for piece in pieces:
                    # A plain text is found by itself; joined to others it is another text.
                    joined = isinstance(piece, ast.Constant) and piece is not part and _says(str(piece.value))
                    if joined or (isinstance(piece, ast.JoinedStr) and _has_words(piece)):
                        found.append(f"{path.relative_to(ROOT)}:{piece.lineno}")
    assert found == []


# Names of files, classes and functions, which are the same in every language.
NAMES = {"CrossEntropyLoss", "BCEWithLogitsLoss", "softmax", "sigmoid", "Parquet", "Feather"}


def test_findings_are_said_in_words_that_can_be_found() -> None:
    def unsaid(value: ast.expr) -> bool:
        inside = {ast.BinOp: ("left", "right"), ast.IfExp: ("body", "orelse")}.get(type(value), ())
        return isinstance(value, ast.JoinedStr) or any(unsaid(getattr(value, name)) for name in inside)

    plain = []
    for path in sorted((ROOT / "src" / "soundfit").rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(call, ast.Call) and getattr(call.func, "id", "") == "Finding"):
                continue
            told = [*call.args[2:3], *(k.value for k in call.keywords if k.arg in ("message", "fix"))]
            if any(map(unsaid, told)):
                plain.append(f"{path.name}:{call.lineno}")
    assert plain == []


def test_words_put_into_a_sentence_are_said_themselves() -> None:
    """``say("{n} {what}", what="rows" if … else "row")`` leaves English words in a Chinese sentence."""
    package = ROOT / "src" / "soundfit"
    found = []
    for path in sorted(package.rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(call, ast.Call) and getattr(call.func, "id", "") == "say"):
                continue
            for word in (w for k in call.keywords for w in _choices(k.value)):
                if word not in NAMES and re.search(r"[A-Za-z]{2}", word):
                    found.append(f"{path.relative_to(ROOT)}:{call.lineno} {word!r}")
    assert found == []


def _choices(value: ast.expr) -> list[str]:
    """Return the texts written out among which a value is chosen."""
    if isinstance(value, ast.IfExp):
        return [*_choices(value.body), *_choices(value.orelse)]
    if isinstance(value, ast.BoolOp):
        return [word for one in value.values for word in _choices(one)]
    return [value.value] if isinstance(value, ast.Constant) and isinstance(value.value, str) else []


def _parts_for_readers(call: ast.AST) -> list[ast.expr]:
    if not isinstance(call, ast.Call):
        return []
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name in ("stage", "on_stage"):
        return call.args
    if name in ("UsageError", "DataError", "StopError", "Interrupted"):
        return [*call.args, *(k.value for k in call.keywords if k.arg in ("received", "fix"))]
    return []


def _has_words(text: ast.JoinedStr) -> bool:
    constants = "".join(str(v.value) for v in text.values if isinstance(v, ast.Constant))
    return _says(constants)


def _says(text: str) -> bool:
    return re.search(r"[^\W\d_]", text) is not None


def test_errors_speak_chinese() -> None:
    error = UsageError(
        "The target must be a column of the table",
        received=say("{target!r}, which is not in {source}", target="Price", source="a.csv"),
        fix=did_you_mean("Price", ["price", "area"]),
    )
    assert error_paragraph(error, Words()) == error.paragraph()
    assert error_paragraph(error, Words("zh")) == (
        "目标必须是表格中的一列。收到：'Price'，它不在 a.csv 中。解决方法：是否指 'price'？"
    )
    unknown = UsageError("A rule that no catalogue knows", fix=did_you_mean("x", ["area", "price"]))
    assert (
        error_paragraph(unknown, Words("zh"))
        == "A rule that no catalogue knows。解决方法：可用的名称：area, price。"
    )


def test_compiled_catalogues_are_those_of_the_sources(catalogues: ModuleType) -> None:
    texts = catalogues.template()
    for language in catalogues.LANGUAGES:
        path = catalogues.LOCALE / language / "LC_MESSAGES" / "soundfit.mo"
        assert path.read_bytes() == catalogues.compiled(catalogues.updated(language, texts))


def test_a_text_without_translation_is_found(catalogues: ModuleType) -> None:
    texts = catalogues.template()
    texts.add("A sentence that nobody has translated yet.")
    assert catalogues.missing(catalogues.updated("zh", texts)) == [
        "A sentence that nobody has translated yet."
    ]


def _fields(text: str) -> set[tuple[str, str, str]]:
    return {(name, spec or "", conv or "") for _, name, spec, conv in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("language", ["zh"])
def test_translations_fill_in_values_of_their_text(language: str, catalogues: ModuleType) -> None:
    with (catalogues.LOCALE / language / "LC_MESSAGES" / "soundfit.po").open("rb") as file:
        catalog = read_po(file, locale=language)
    for message in catalog:
        if not message.id:
            continue
        pairs = (
            [(message.id[-1], message.string[0])]
            if isinstance(message.id, (tuple, list))
            else [(message.id, message.string)]
        )
        for text, told in pairs:
            # Chinese has no plural ending.
            assert _fields(told) | {("plural", "", "")} == _fields(text) | {("plural", "", "")}, text


def test_chinese_uses_the_terms_of_the_field() -> None:
    _ = Words("zh")
    expected = {
        "Overfitting": "过拟合",
        "weight decay": "权重衰减",
        "training rows": "训练行",
        "Underfitting": "欠拟合",
    }
    assert {text: _(text) for text in expected} == expected
    assert _.many("{n} row", "{n} rows", 1200) == "1,200 行"
    assert _("") == ""


def test_english_is_the_source() -> None:
    _ = Words()
    assert _.is_source
    assert _("What to do next") == "What to do next"


def test_another_language_is_refused() -> None:
    with pytest.raises(UsageError, match=re.escape("A language is one of en, zh")):
        Words("tlh")
