"""Mistakes out of fold: the confusion matrix and the worst rows. Knows no page."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from soundfit.report.figures.predicted import numeric_predictions, on_log_scale
from soundfit.report.numbers import count, percent, significant
from soundfit.report.run_view import RunView, labels
from soundfit.report.words import Words

__all__ = ["Confusion", "WorstRows", "confusion", "worst_rows"]

MOST_CLASSES = 12
N_WORST = 10


@dataclass(frozen=True)
class Confusion:
    """True classes down, predicted across: ``shares`` of the true class, ``counts`` of rows.

    ``found`` is each true class's recall as text, ``correct`` each predicted class's precision.
    """

    names: list[str]
    counts: list[list[int]]
    shares: list[list[float]]
    found: list[str]
    correct: list[str]
    sentence: str


@dataclass(frozen=True)
class WorstRows:
    """The rows that the model missed by most, as text."""

    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    sentence: str


def confusion(view: RunView, _: Words) -> Confusion | None:
    """Return the confusion matrix; the most frequent classes and ``other`` where there are many."""
    if not view.is_classification or not view.has("predictions", "target", "prediction"):
        return None
    truth = labels(view.predictions["target"])
    said = labels(view.predictions["prediction"])
    seen = set(truth.unique()) | set(said.unique())
    names = [name for name in view.class_names if name in seen]
    names += sorted(seen - set(names))
    right = float((truth == said).mean())
    sentence = [
        _("{share} of {n} out-of-fold predictions are right.").format(
            share=percent(right, 3), n=count(len(truth))
        )
    ]
    wrong = truth != said
    if wrong.any():
        pairs = pd.DataFrame({"true": truth[wrong], "predicted": said[wrong]}).value_counts()
        (true, predicted), n = pairs.index[0], int(pairs.iloc[0])
        of = int((truth == true).sum())
        sentence.append(
            _(
                "The most frequent mistake: “{true}” taken for “{predicted}”, {n} of its {of} rows ({share})."
            ).format(
                true=true,
                predicted=predicted,
                n=count(n),
                of=count(of),
                share=percent(n / of),
            )
        )
    recall = (truth == said).groupby(truth).mean()
    if len(recall) > 2:
        sentence.append(
            _("Hardest class: “{name}”, {share} of its rows found.").format(
                name=recall.idxmin(), share=percent(recall.min())
            )
        )
    if len(names) > MOST_CLASSES:
        kept = truth.value_counts().index[: MOST_CLASSES - 1].tolist()
        rest = _("other")
        truth, said = truth.where(truth.isin(kept), rest), said.where(said.isin(kept), rest)
        names = [*kept, rest]
    table = pd.crosstab(truth, said).reindex(index=names, columns=names, fill_value=0).to_numpy()
    whole = table.sum(axis=1, keepdims=True)
    shares = np.divide(table, whole, out=np.zeros(table.shape), where=whole > 0)
    said_as = table.sum(axis=0)
    return Confusion(
        names,
        table.tolist(),
        shares.round(4).tolist(),
        [percent(table[i, i] / whole[i, 0]) if whole[i, 0] else "–" for i in range(len(names))],
        [percent(table[i, i] / said_as[i]) if said_as[i] else "–" for i in range(len(names))],
        " ".join(sentence),
    )


def worst_rows(view: RunView, _: Words) -> WorstRows | None:
    """Return the rows with the largest error (regression) or the least likely truth (classification)."""
    return _least_likely(view, _) if view.is_classification else _farthest(view, _)


def _farthest(view: RunView, _: Words) -> WorstRows | None:
    frame = numeric_predictions(view)
    if frame.empty:
        return None
    log = on_log_scale(view, frame)
    error = frame["prediction"] - frame["target"]
    ratio = frame["prediction"] / frame["target"]
    size = pd.Series(np.log(ratio) if log else error, frame.index).abs()
    worst = frame.loc[size.nlargest(N_WORST).index]
    squared = size**2
    total = float(squared.sum())
    share = float(squared.nlargest(N_WORST).sum()) / total if total > 0 else 0.0
    rows: list[tuple[str, ...]] = []
    for row, true, predicted in worst.itertuples(index=False):
        off = predicted - true
        relative = percent(off / abs(true)) if true else "–"
        sign = "+" if off > 0 else ""
        rows.append(
            (
                count(row),
                significant(true, 4),
                significant(predicted, 4),
                f"{sign}{significant(off)}",
                f"{sign}{relative}",
            )
        )
    return WorstRows(
        (_("row (from 0)"), _("true"), _("predicted"), _("prediction error"), _("relative")),
        rows,
        _("These {n} of {all} rows make up {share} of the squared error{scale}.").format(
            n=len(rows),
            all=count(len(frame)),
            share=percent(share),
            scale=_(" on the log scale") if log else "",
        ),
    )


def _least_likely(view: RunView, _: Words) -> WorstRows | None:
    names = view.class_names
    columns = [f"probability_{name}" for name in names]
    if not names or not view.has("predictions", "row", "target", "prediction", *columns):
        return None
    frame = view.predictions
    probability = frame[columns].to_numpy(dtype=float)
    truth = labels(frame["target"])
    code = truth.map({name: position for position, name in enumerate(names)})
    known = (code.notna() & np.isfinite(probability).all(axis=1)).to_numpy()
    if not known.any():
        return None
    frame, probability, code = frame[known], probability[known], code[known].astype(int).to_numpy()
    truth, said = truth[known], labels(frame["prediction"])
    of_truth = probability[np.arange(len(frame)), code]
    order = np.argsort(of_truth, kind="stable")[:N_WORST]
    rows: list[tuple[str, ...]] = [
        (
            count(frame["row"].iloc[at]),
            truth.iloc[at],
            said.iloc[at],
            percent(probability[at].max()),
            percent(of_truth[at]),
        )
        for at in order
    ]
    n_sure = int(((probability.max(axis=1) > 0.9) & (probability.argmax(axis=1) != code)).sum())
    return WorstRows(
        (_("row (from 0)"), _("true"), _("predicted"), _("its probability"), _("probability of the truth")),
        rows,
        _.many(
            "{n} row was predicted wrongly with more than 90 % probability.",
            "{n} rows were predicted wrongly with more than 90 % probability.",
            n_sure,
        )
        + " "
        + _("Rows that surprise the model most are the first to check for wrong labels."),
    )
