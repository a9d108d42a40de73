"""Which rows are in which role, along the file."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from soundfit.report.figures.figure import Figure, Key
from soundfit.report.numbers import count, finite, percent
from soundfit.report.run_view import RunView
from soundfit.report.words import Words

__all__ = ["split_figure"]

Lane = tuple[str, str, pd.Series]

MOST_BINS, FEWEST_BINS = 72, 12
ROWS_PER_CELL = 6


def split_figure(view: RunView, _: Words) -> Figure | None:
    """Return the picture: for each set of rows, where in the file its rows lie."""
    if not view.has("split", "row", "role"):
        return None
    split = view.split
    fold = pd.Series(np.nan, split.index)
    if "fold" in split:
        # Nullable integers would make every comparison three-valued.
        fold = pd.to_numeric(split["fold"], errors="coerce").astype(float)
    is_test = (split["role"] == "test").fillna(False).astype(bool)
    lanes: list[Lane] = [(_("test (sealed)"), "test", is_test)]
    for number in sorted(fold[~is_test].dropna().unique()):
        lanes.append((_("fold {n}").format(n=int(number) + 1), "validation", ~is_test & (fold == number)))
    others = ~is_test & fold.isna()
    if others.any():
        validation_only = others & (split["role"] == "validation")
        lanes.append((_("validation"), "validation", validation_only))
        lanes.append((_("training"), "training", others & (split["role"] == "train")))
        lanes.append((_("left out"), "baseline", others & ~split["role"].isin(["validation", "train"])))
    lanes = [lane for lane in lanes if lane[2].any()]
    position = split["row"].to_numpy(dtype=float)
    n_rows = int(max(finite(view.get("data", "rows")) or 0, position.max() + 1))
    bins = min(n_rows, max(FEWEST_BINS, min(MOST_BINS, n_rows // (ROWS_PER_CELL * max(1, len(lanes))))))
    at = np.minimum((position * bins / n_rows).astype(int), bins - 1)
    total = np.bincount(at, minlength=bins)
    cells, rows = [], []
    for label, colour, is_in in lanes:
        inside = np.bincount(at[is_in.to_numpy()], minlength=bins)
        share = np.divide(inside, total, out=np.zeros(bins), where=total > 0)
        cells += [
            {
                "lane": label,
                "colour": colour,
                "from": b * n_rows / bins,
                "to": (b + 1) * n_rows / bins,
                "share": s,
            }
            for b, s in enumerate(share.round(3).tolist())
            if s > 0
        ]
        rows.append([label, count(is_in.sum()), percent(is_in.mean())])
    names = {
        "test": _("sealed test rows"),
        "validation": _("validation rows of a fold"),
        "training": _("only ever trained on"),
        "baseline": _("left out"),
    }
    return Figure(
        id="split",
        kind="split",
        title=_("Where the rows of each set lie in the file"),
        sentence=_sentence(lanes, split, _),
        data={
            "cells": cells,
            "lanes": [label for label, _colour, _in in lanes],
            "x": {"label": _("position in the file (row)")},
            "n": n_rows,
        },
        keys=tuple(
            Key(text, "band", colour)
            for colour, text in names.items()
            if any(lane[1] == colour for lane in lanes)
        ),
        columns=(_("set"), _("rows"), _("share")),
        rows=rows,
    )


def _sentence(lanes: list[Lane], split: pd.DataFrame, _: Words) -> str:
    sizes = [int(inside.sum()) for _label, colour, inside in lanes if colour == "validation"]
    n_test = int((split["role"] == "test").sum())
    said = []
    if n_test:
        said.append(
            _("{test} of {rows} rows ({share}) are sealed for the exam.").format(
                test=count(n_test), rows=count(len(split)), share=percent(n_test / len(split))
            )
        )
    if len(sizes) > 1:
        small, large = count(min(sizes)), count(max(sizes))
        each = small if small == large else _("{low} to {high}").format(low=small, high=large)
        said.append(_("Each of the {n} folds validates {each} rows.").format(n=len(sizes), each=each))
    together, by_chance = _neighbours(lanes, split)
    if together is None:
        return " ".join(said)
    if together > 0.5 + 0.5 * by_chance:
        said.append(_("Every set is made of stretches of the file: rows that lie together stay together."))
    elif together > by_chance + 4 * math.sqrt(by_chance * (1 - by_chance) / len(split)):
        said.append(
            _("Neighbouring rows tend to share a set: {seen} of them do, against {chance} by chance.").format(
                seen=percent(together), chance=percent(by_chance)
            )
        )
    else:
        said.append(_("Every set is spread over the whole file, as if shuffled."))
    return " ".join(said)


def _neighbours(lanes: list[Lane], split: pd.DataFrame) -> tuple[float | None, float]:
    """Return the share of neighbouring rows that are in the same set, and what a shuffle would give."""
    code = np.select([inside.to_numpy() for _label, _colour, inside in lanes], range(len(lanes)), default=-1)
    code = code[np.argsort(split["row"].to_numpy(), kind="stable")]
    if len(lanes) < 2 or len(code) < 2:
        return None, 1.0
    by_chance = sum(float((code == lane).mean()) ** 2 for lane in range(-1, len(lanes)))
    return float((code[1:] == code[:-1]).mean()), by_chance
