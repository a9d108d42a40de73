"""Said: a sentence that remembers the template and the values it was made of.

Records are written in English, as plain text. A reader of another language needs the template to look
up and the values to put in; both travel with the text, and lie beside the record in ``words.json``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = ["Said", "joined", "phrases", "retell", "say"]


class Said(str):
    """Text that is equal to its English form, with the ``template`` and ``values`` behind it.

    Values are numbers, plain text or text that was said itself.

    >>> text = say("{n:,} of {whole}", n=1200, whole=say("all rows"))
    >>> text, text.template
    ('1,200 of all rows', '{n:,} of {whole}')
    """

    template: str
    values: Mapping[str, Any]

    def __new__(cls, template: str, values: Mapping[str, Any]) -> Said:
        said = super().__new__(cls, template.format(**values))
        said.template, said.values = template, dict(values)
        return said

    def __add__(self, other: str) -> Said:
        return Said("{first}{second}", {"first": self, "second": other})

    def __radd__(self, other: str) -> Said:
        return Said("{first}{second}", {"first": other, "second": self})

    def __getnewargs__(self) -> tuple[str, Mapping[str, Any]]:  # type: ignore[override]
        """Return what copies and pickles are made from."""
        return self.template, self.values


def say(template: str, **values: Any) -> Said:
    """Return a template filled in with values, as :meth:`str.format` does.

    The extraction of messages finds the templates of these calls, so each is written out in full.
    """
    return Said(template, values)


def joined(between: str, parts: Iterable[str]) -> Said:
    """Return parts with ``between`` them, as :meth:`str.join` does; what was said stays known."""
    values = {f"part_{i}": part for i, part in enumerate(parts)}
    return Said("{between}".join(f"{{{name}}}" for name in values), {**values, "between": between})


def phrases(document: Any) -> dict[str, dict[str, Any]]:
    """Return, for each sentence said in a JSON document, its template and values (JSON-ready).

    >>> phrases({"text": say("{n} rows", n=2), "other": ["plain"]})
    {'2 rows': {'template': '{n} rows', 'values': {'n': 2}}}
    """
    found: dict[str, dict[str, Any]] = {}
    _collect(document, found)
    return found


def retell(text: str, known: Mapping[str, Any], translate: Any) -> str:
    """Return a text in another language: by its own template, else by the one known for it.

    Args:
        text: said, or plain text that was said once.
        known: what :func:`phrases` returned, perhaps read from a file.
        translate: from an English template to one of the reader's language.

    A text of which nothing is known, or whose record does not fit it, is returned as it is.
    """
    if isinstance(text, Said):
        return _told(text.template, text.values, translate)
    phrase = known.get(text)
    if not isinstance(phrase, Mapping):
        return text
    template, values = phrase.get("template"), phrase.get("values")
    if not isinstance(template, str) or not isinstance(values, Mapping):
        return text
    try:
        return _told(template, {k: _read(v) for k, v in values.items()}, translate)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return text


def _told(template: str, values: Mapping[str, Any], translate: Any) -> str:
    told = {
        name: _told(value.template, value.values, translate) if isinstance(value, Said) else value
        for name, value in values.items()
    }
    return str(translate(template).format(**told))


def _collect(value: Any, found: dict[str, dict[str, Any]]) -> None:
    if isinstance(value, Said):
        found[str(value)] = {
            "template": value.template,
            "values": {name: _plain(v) for name, v in value.values.items()},
        }
    elif isinstance(value, Mapping):
        for item in value.values():
            _collect(item, found)
    elif isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        for item in value:
            _collect(item, found)


def _plain(value: Any) -> Any:
    if isinstance(value, Said):
        values = {name: _plain(v) for name, v in value.values.items()}
        return {"template": value.template, "values": values}
    if value is None or isinstance(value, (bool, int, float, str)):
        # numpy's floats and this module's texts are subclasses: the file holds the plain kind.
        kinds = (bool, int, float, str)
        return next((kind(value) for kind in kinds if isinstance(value, kind)), None)
    return value.item() if hasattr(value, "item") else str(value)


def _read(value: Any) -> Any:
    if isinstance(value, Mapping):
        values = {name: _read(v) for name, v in value.get("values", {}).items()}
        return Said(str(value.get("template", "")), values)
    return value
