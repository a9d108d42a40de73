"""Translations are whole, up to date with the sources, and fill in the same values."""

from __future__ import annotations

import importlib.util
import re
import string
from pathlib import Path
from types import ModuleType

import pytest
from babel.messages.pofile import read_po

from soundfit.errors import UsageError
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
            assert _fields(told) == _fields(text), text


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
