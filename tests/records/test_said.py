"""What was said is plain English text, and can be told again in another language, from memory or a file."""

from __future__ import annotations

import copy
import json
import pickle

import hypothesis.strategies as st
import numpy as np
from hypothesis import given

from soundfit.records.said import Said, joined, phrases, retell, say

GERMAN = {
    "{n:,} of {whole} fell": "{whole}: {n:,} fielen",
    "all {n} rows": "alle {n} Zeilen",
    " and ": " und ",
    "one": "eins",
    "two": "zwei",
}


def german(text: str) -> str:
    return GERMAN.get(text, text)


def test_said_is_the_english_text() -> None:
    said = say("{n:,} of {whole} fell", n=1200, whole=say("all {n} rows", n=5000))
    assert said == "1,200 of all 5000 rows fell"
    assert isinstance(said, str)
    assert json.dumps(said) == '"1,200 of all 5000 rows fell"'


def test_retell_by_the_text_itself_and_from_a_file() -> None:
    said = say("{n:,} of {whole} fell", n=1200, whole=say("all {n} rows", n=5000))
    document = {"verdict": {"evidence": ["plain", said]}}
    read = json.loads(json.dumps({**document, "words": phrases(document)}))
    told = "alle 5000 Zeilen: 1,200 fielen"
    assert retell(said, {}, german) == told
    assert retell(read["verdict"]["evidence"][1], read["words"], german) == told
    assert retell("plain", read["words"], german) == "plain"


def test_sums_and_joined_texts_stay_known() -> None:
    text = "(" + say("one") + ", " + joined(say(" and "), [say("one"), say("two")]) + ")"
    assert text == "(one, one and two)"
    assert retell(text, {}, german) == "(eins, eins und zwei)"


def test_copies_and_pickles_are_equal() -> None:
    said = say("all {n} rows", n=3)
    for other in (copy.deepcopy(said), pickle.loads(pickle.dumps(said))):
        assert isinstance(other, Said)
        assert (other, other.template, other.values) == (said, said.template, said.values)


def test_a_damaged_record_leaves_the_english_text() -> None:
    for broken in (
        {"template": "{x}"},
        {"template": "{x} {", "values": {}},
        [],
        {"template": "{n}", "values": {}},
    ):
        assert retell("text", {"text": broken}, german) == "text"


def test_numbers_of_numpy_are_written_as_numbers() -> None:
    words = phrases([say("{a} {b} {c}", a=np.float64(0.5), b=np.int64(2), c=np.str_("x"))])
    assert json.loads(json.dumps(words))["0.5 2 x"]["values"] == {"a": 0.5, "b": 2, "c": "x"}


@given(
    st.text(), st.dictionaries(st.sampled_from("abc"), st.text() | st.integers() | st.floats(allow_nan=False))
)
def test_a_text_told_in_its_own_language_is_itself(between: str, values: dict[str, object]) -> None:
    template = between.replace("{", "{{").replace("}", "}}").join(f"{{{name}}}" for name in values)
    said = say(template, **values)
    words = json.loads(json.dumps(phrases({"text": [said]})))
    assert retell(said, {}, lambda t: t) == said
    assert retell(str(said), words, lambda t: t) == said
