"""Which rows are in which role, along the file."""

from __future__ import annotations

import numpy as np
import pandas as pd

from soundfit.report.figures.figure import Figure, Key
from soundfit.report.numbers import count, finite, percent
from soundfit.report.run_view import RunView
from soundfit.report.words import Words

__all__ = ["split_figure"]

BINS = 72


def split_figure(view: RunView, _: Words) -> Figure | None:
    """Return the picture: for each set of rows, where in the file its rows lie."""
    if not view.has("split", "row", "role"):
        return None
    split = view.split
    fold = (
        pd.to_numeric(split["fold"], errors="coerce") if "fold" in split else pd.Series(np.nan, split.index)
    )
    is_test = split["role"] == "test"
    lanes = [(_("test (sealed)"), "test", is_test)]
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
    bins = min(BINS, n_rows)
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
    return Figure(
        id="split",
        kind="split",
        title=_("Where the rows of each set lie in the file"),
        sentence=_sentence(lanes, split, at, bins, _),
        data={
            "cells": cells,
            "lanes": [label for label, _colour, _in in lanes],
            "x": {"label": _("position in the file (row)")},
            "n": n_rows,
        },
        keys=(
            Key(_("sealed test rows"), "band", "test"),
            Key(_("validation rows of a fold"), "band", "validation"),
        ),
        columns=(_("set"), _("rows"), _("share")),
        rows=rows,
    )


def _sentence(
    lanes: list[tuple[str, str, pd.Series]], split: pd.DataFrame, at: np.ndarray, bins: int, _: Words
) -> str:
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
        said.append(
            _("Each of the {n} folds validates {each} rows that the others train on.").format(
                n=len(sizes), each=each
            )
        )
    filled = [_n_filled(at[inside.to_numpy()], bins) for _label, _colour, inside in lanes]
    full = max(1, _n_filled(at, bins))
    if min(filled) > 0.8 * full:
        said.append(_("Every set is spread over the whole file."))
    elif max(filled) < 0.8 * full:
        said.append(_("Every set is a stretch of the file: rows that lie together stay together."))
    else:
        said.append(_("Some sets are confined to a part of the file."))
    return " ".join(said)


def _n_filled(at: np.ndarray, bins: int) -> int:
    return int(np.count_nonzero(np.bincount(at, minlength=bins)))
