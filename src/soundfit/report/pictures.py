"""Pictures on the page: samples, confident mistakes, labels in doubt, from a run's ``pictures.json``.

Knows nothing of how they were found. Only data URIs of pictures are let onto the page.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from soundfit.report.numbers import count, percent
from soundfit.report.run_view import RunView
from soundfit.report.words import Words

__all__ = ["PicturePart", "Shown", "picture_parts"]

_MOST_BYTES = 2_000_000
_STARTS = ("data:image/png;base64,", "data:image/jpeg;base64,")


@dataclass(frozen=True)
class Shown:
    """One picture: data URIs side by side, and lines of text below."""

    sources: tuple[str, ...]
    title: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class PicturePart:
    """A heading, a sentence, and pictures."""

    id: str
    title: str
    sentence: str
    pictures: tuple[Shown, ...]


def picture_parts(view: RunView, _: Words) -> list[PicturePart]:
    """Return what there is to show; nothing for other data and older runs."""
    path = view.folder / "pictures.json"
    if view.get("data", "kind") != "pictures" or not path.is_file() or path.stat().st_size > _MOST_BYTES:
        return []
    record = json.loads(path.read_text(encoding="utf-8"))
    parts = [_samples(record, _), _mistakes(record, _), _doubts(record, _)]
    return [part for part in parts if part is not None and part.pictures]


def _samples(record: Mapping[str, Any], _: Words) -> PicturePart:
    shown = tuple(
        Shown(
            _safe(*one["pictures"]),
            str(one["name"]),
            (_.many("{n} picture", "{n} pictures", int(one["n"])),),
        )
        for one in record.get("samples", [])
    )
    return PicturePart(
        "samples",
        _("Pictures"),
        _("Some of the pictures outside the exam, as models see them: scaled to one size."),
        shown,
    )


def _mistakes(record: Mapping[str, Any], _: Words) -> PicturePart:
    found = record.get("mistakes", [])
    seen = any("looked_at" in one for one in found)
    sentence = _("Validation pictures that were predicted wrongly with most confidence.")
    if seen:
        sentence += " " + _(
            "Beside each, in orange: where the net found what speaks for its answer (Grad-CAM). Where it "
            "looks at the background, the background gives the class away."
        )
    shown = tuple(
        Shown(
            _safe(one["picture"], *([one["looked_at"]] if "looked_at" in one else [])),
            _("{said}, {share}").format(said=one["prediction"], share=percent(one["probability"])),
            (_("labelled {label}").format(label=one["label"]), str(one["file"])),
        )
        for one in found
    )
    return PicturePart("picture-mistakes", _("Most confident mistakes"), sentence, shown)


def _doubts(record: Mapping[str, Any], _: Words) -> PicturePart | None:
    doubts = record.get("doubts")
    if not doubts:
        return None
    sentence = _(
        "Out-of-fold predictions speak against {n} of {all} labels (confident learning, Northcutt et al. "
        "2021). Some are mistakes of the model; look at them, worst first. All are in label-doubts.csv."
    ).format(n=count(doubts["n"]), all=count(doubts["examined"]))
    shown = tuple(
        Shown(
            _safe(one["picture"]),
            _("{label} → {suggested}?").format(label=one["label"], suggested=one["suggested"]),
            (percent(one["probability"]), str(one["file"])),
        )
        for one in doubts["first"]
    )
    return PicturePart("doubts", _("Labels in doubt"), sentence, shown)


def _safe(*sources: Any) -> tuple[str, ...]:
    return tuple(s for s in sources if isinstance(s, str) and s.startswith(_STARTS))
