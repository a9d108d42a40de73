"""House prices from start to finish: audit, seal, folds, two models, verdict, exam."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from soundfit.data.ledger import LEDGER_VARIABLE
from soundfit.lessons.lesson import Lesson, Line, chart
from soundfit.lessons.real_data import house_prices_file
from soundfit.records import Config
from soundfit.records.said import say
from soundfit.report.numbers import count, significant
from soundfit.study.cross_validation import cross_validate_views
from soundfit.study.views import table_views
from soundfit.workflow.api import train

__all__ = ["measure"]


def measure(seed: int = 0, *, rows: int = 1500, epochs: int = 40, width: int = 64) -> Lesson:
    """Train a linear model on randomly drawn houses as ``soundfit train`` does, and an MLP on the same folds.

    The opening of the sealed rows is counted in a ledger of its own, so that the lesson does not count among
    the reader's exams.
    """
    frame = pd.read_csv(house_prices_file()).sample(rows, random_state=seed).reset_index(drop=True)
    with _own_ledger():
        run = train(frame, target="Sale_Price", model="linear", seed=seed)
    document = run.document
    mlp = Config(
        width=width,
        depth=2,
        dropout=0.15,
        weight_decay=0.1,
        learning_rate=0.03,
        epochs=epochs,
        batch_size=64,
        options={"beta2": 0.95},
    )
    views = table_views(run.table, run.plan)
    net = cross_validate_views(views, [mlp], seeds=[seed]).result.scores_CK[0]
    cv, exam, split = document["cv"], document["exam"], document["split"]
    linear = np.array(cv["per_fold"], dtype=float)
    baseline = _baseline(document, "mean")
    gap = linear - net
    se = float(gap.std(ddof=1) / np.sqrt(len(gap)))
    findings = document["audit"]["findings"]
    errors = sum(f["severity"] == "error" for f in findings)
    inside = exam["low"] <= cv["value"] <= exam["high"]
    ticks = {float(i + 1): str(i + 1) for i in range(len(linear))}
    shown = {
        "cv": significant(cv["value"]),
        "value": significant(exam["value"]),
        "low": significant(exam["low"]),
        "high": significant(exam["high"]),
        "rows": count(exam["rows"]),
    }
    return Lesson(
        "house-prices",
        (
            say(
                "Before any training the audit made {n} findings, {errors} of them errors, {test} of "
                "{rows} rows were sealed for the exam, and the other {train} were dealt into {folds} folds.",
                n=len(findings),
                errors=errors,
                test=count(split["test"]),
                rows=count(rows),
                train=count(split["train"]),
                folds=len(linear),
            ),
            say(
                "In cross-validation the linear model errs {linear} ± {se} and an MLP on the same folds "
                "{mlp}, which is clearly {order} (predicting the mean: {mean}; {metric}).",
                linear=significant(cv["value"]),
                se=significant(cv["se"], 2),
                mlp=significant(float(net.mean())),
                order=say("better") if gap.mean() > 0 else say("worse"),
                mean=significant(baseline),
                metric=cv["metric"],
            )
            if abs(gap.mean()) > 2 * se
            else say(
                "In cross-validation the linear model errs {linear} ± {se} and an MLP on the same folds "
                "{mlp}: no clear difference, so the simpler one is examined (predicting the mean: {mean}; "
                "{metric}).",
                linear=significant(cv["value"]),
                se=significant(cv["se"], 2),
                mlp=significant(float(net.mean())),
                mean=significant(baseline),
                metric=cv["metric"],
            ),
            say(
                "On the {rows} sealed rows, opened once and at the end, the linear model errs {value} (95 "
                "% interval {low} to {high}): the {cv} of cross-validation was honest.",
                **shown,
            )
            if inside
            else say(
                "On the {rows} sealed rows, opened once and at the end, the linear model errs {value} (95 "
                "% interval {low} to {high}); cross-validation had said {cv}, outside of it.",
                **shown,
            ),
        ),
        say(
            "{rows} of the 2,930 houses of Ames, drawn at random, all columns; soundfit train with --model "
            "linear, then an MLP of 2 × {width} units on the same folds; the exam is counted in a ledger "
            "of its own.",
            rows=count(rows),
            width=width,
        ),
        (
            chart(
                "house-prices",
                say("Error by fold"),
                say("Both models on the same folds; the dashed line is the exam of the linear model."),
                [
                    Line(say("linear"), [(i + 1, float(v)) for i, v in enumerate(linear)]),
                    Line(say("MLP"), [(i + 1, float(v)) for i, v in enumerate(net)]),
                    Line(say("exam, linear"), [(at, exam["value"]) for at in ticks], "dash"),
                ],
                x=say("fold"),
                y=say("prediction error"),
                ticks=ticks,
            ),
        ),
        {
            "linear": float(linear.mean()),
            "mlp": float(net.mean()),
            "baseline": baseline,
            "exam": float(exam["value"]),
            "exam_low": float(exam["low"]),
            "exam_high": float(exam["high"]),
            "openings": float(exam["openings"]),
            "findings": len(findings),
        },
    )


def _baseline(document: Mapping[str, Any], name: str) -> float:
    found = [b["value"] for b in document["baselines"] if b["name"] == name]
    return float(found[0]) if found else float("nan")


@contextmanager
def _own_ledger() -> Iterator[None]:
    """Count openings in a temporary file while the block runs."""
    before = os.environ.get(LEDGER_VARIABLE)
    with tempfile.TemporaryDirectory(prefix="soundfit-lesson-") as folder:
        os.environ[LEDGER_VARIABLE] = str(Path(folder) / "ledger.sqlite")
        try:
            yield
        finally:
            if before is None:
                os.environ.pop(LEDGER_VARIABLE, None)
            else:
                os.environ[LEDGER_VARIABLE] = before
