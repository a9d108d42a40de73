"""Kinds of split in words: every kind that a plan can have, in both languages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import soundfit.data.split
from soundfit.report.split_words import split_words
from soundfit.report.words import Words

SOURCE = Path(soundfit.data.split.__file__).read_text(encoding="utf-8")
KINDS = sorted({*re.findall(r'"([a-z-]+)" if ', SOURCE), *re.findall(r'else "([a-z-]+)"', SOURCE)})


@pytest.mark.parametrize("kind", [*KINDS, "holdout", "given"])
def test_each_kind_has_words(kind: str) -> None:
    assert split_words(kind, Words())
    assert re.search("[\u4e00-\u9fff]", split_words(kind, Words("zh"))), kind


def test_an_unknown_kind_stands_for_itself() -> None:
    assert split_words("by moon", Words("zh")) == "by moon"
