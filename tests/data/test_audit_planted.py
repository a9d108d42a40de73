"""Each planted fault is found with its severity and columns; the table without it raises no error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from soundfit.data.audit import audit
from soundfit.data.source import read
from soundfit.records import Finding

Rng = np.random.Generator
ERROR, LOUD, ANY = ("error",), ("error", "warning"), ("error", "warning", "note")


def numbers(rng: Rng, n: int = 700, d: int = 7) -> pd.DataFrame:
    x = rng.normal(size=(n, d))
    frame = pd.DataFrame(x, columns=[f"x{i}" for i in range(d)])
    frame["colour"] = rng.choice(["red", "green", "blue"], n)
    frame["y"] = (
        50 + 20 * x[:, 0] + 10 * np.sin(2 * x[:, 1]) + 10 * x[:, 2] * x[:, 3] + 5 * rng.normal(size=n)
    )
    return frame


def classes(rng: Rng, n: int = 700, d: int = 7) -> pd.DataFrame:
    x = rng.normal(size=(n, d))
    frame = pd.DataFrame(x, columns=[f"x{i}" for i in range(d)])
    frame["kind"] = rng.choice(["p", "q", "r"], n)
    frame["y"] = np.where(1.5 * x[:, 0] + x[:, 1] * x[:, 2] + rng.logistic(size=n) > 0, "yes", "no")
    return frame


def categories(rng: Rng) -> pd.DataFrame:
    frame = pd.DataFrame({f"c{i}": rng.choice(list("abcde"), 900) for i in range(10)})
    likely = (frame["c0"] == "a") | (frame["c1"] == "b")
    frame["y"] = np.where(likely ^ (rng.random(900) < 0.15), "y", "n")
    return frame


def whole_numbers(rng: Rng) -> pd.DataFrame:
    frame = pd.DataFrame({"age": rng.integers(18, 80, 1200), "children": rng.poisson(1, 1200)})
    frame["smoker"] = rng.choice(["yes", "no"], 1200, p=[0.2, 0.8])
    frame["y"] = 250 * frame["age"] + 2e4 * (frame["smoker"] == "yes") + 2000 * rng.gamma(2, size=1200)
    return frame


def positive(rng: Rng) -> pd.DataFrame:
    frame = numbers(rng)
    frame["y"] = np.exp(frame["y"] / 30)
    return frame


def many_classes(rng: Rng) -> pd.DataFrame:
    label = rng.integers(0, 8, 900)
    frame = pd.DataFrame(rng.normal(0, 1, (8, 6))[label] + rng.normal(size=(900, 6)), columns=list("abcdef"))
    frame["y"] = [f"class {i}" for i in label]
    return frame


def shuffled(frame: pd.DataFrame, rng: Rng) -> pd.DataFrame:
    return frame.iloc[rng.permutation(len(frame))].reset_index(drop=True)


def copies(frame: pd.DataFrame, rng: Rng, share: float = 0.15) -> pd.DataFrame:
    some = frame.iloc[rng.choice(len(frame), int(share * len(frame)), replace=False)]
    return shuffled(pd.concat([frame, some]), rng)


def noisy_copies(frame: pd.DataFrame, rng: Rng, noise: float) -> pd.DataFrame:
    some = frame.iloc[rng.choice(len(frame), len(frame) // 6, replace=False)].copy()
    for name in some.columns:
        if name.startswith("x"):
            some[name] += noise * rng.normal(size=len(some))
    return shuffled(pd.concat([frame, some]), rng)


def cell_changed(frame: pd.DataFrame, rng: Rng) -> pd.DataFrame:
    some = frame.iloc[rng.choice(len(frame), 120, replace=False)].copy()
    for i in range(len(some)):
        some.iloc[i, int(rng.integers(7))] = rng.normal()
    return shuffled(pd.concat([frame, some]), rng)


def text_changed(frame: pd.DataFrame, rng: Rng) -> pd.DataFrame:
    place = [
        f"{a} {b}" for a, b in zip(rng.choice(list("KLMN"), 700), rng.choice(list("xyz"), 700), strict=True)
    ]
    frame["place"] = [f"City of {name}" for name in place]
    some = frame.iloc[rng.choice(len(frame), 120, replace=False)].copy()
    some["place"] = some["place"].str.upper()
    return shuffled(pd.concat([frame, some]), rng)


def mixes(rng: Rng, groups: int = 130, rows: int = 5, *, effect: float = 30) -> pd.DataFrame:
    k = np.repeat(np.arange(groups), rows)
    x = rng.normal(size=(groups, 5)).round(2)
    frame = pd.DataFrame(x[k], columns=[f"mix{i}" for i in range(5)])
    frame["age"] = rng.integers(1, 90, len(k))
    frame["y"] = (
        10 * x[k, 0] + effect * rng.normal(size=groups)[k] + 0.1 * frame["age"] + rng.normal(size=len(k))
    )
    return shuffled(frame, rng)


def patients(rng: Rng, *, repeated: bool = True) -> pd.DataFrame:
    k = np.repeat(np.arange(60), 10) if repeated else np.arange(600)
    x = rng.normal(size=(k.max() + 1, 5))[k] + 0.3 * rng.normal(size=(600, 5))
    frame = pd.DataFrame(x, columns=list("abcde"))
    frame["patient_id"] = [f"P{i:03d}" for i in k]
    frame["y"] = np.where(rng.normal(size=k.max() + 1)[k] + 0.3 * rng.normal(size=600) > 0, "sick", "well")
    return shuffled(frame, rng)


def walk(rng: Rng, *, drifting: bool = True) -> pd.DataFrame:
    n = 800
    level = np.cumsum(rng.normal(size=n)) if drifting else rng.normal(size=n)
    days = pd.date_range("2019-01-01", periods=n).strftime("%Y-%m-%d")
    frame = pd.DataFrame({"date": days, "a": 0.3 * level + rng.normal(size=n), "b": rng.normal(size=n)})
    frame["y"] = level + 0.5 * rng.normal(size=n)
    return frame


def undated(rng: Rng, *, drifting: bool = True) -> pd.DataFrame:
    return walk(rng, drifting=drifting).drop(columns="date")


def zipped(rng: Rng) -> pd.DataFrame:
    frame = numbers(rng)
    frame["zip"] = [f"z{i}" for i in rng.integers(0, 120, len(frame))]
    return frame


def split_in(frame: pd.DataFrame, rng: Rng, n_parts: int) -> pd.DataFrame:
    weights = rng.dirichlet([2.0] * n_parts, len(frame))
    for i in range(n_parts):
        frame[f"part{i}"] = weights[:, i] * frame["y"]
    return frame


def assign(
    name: str, made: Callable[[pd.DataFrame, Rng], object]
) -> Callable[[pd.DataFrame, Rng], pd.DataFrame]:
    return lambda frame, rng: frame.assign(**{name: made(frame, rng)})


def left_out_mean(frame: pd.DataFrame, rng: Rng) -> pd.Series:
    by = frame.groupby("zip")["y"]
    return (by.transform("sum") - frame["y"]) / (by.transform("count") - 1)


def smoothed_mean(frame: pd.DataFrame, rng: Rng) -> pd.Series:
    by = frame.groupby("zip")["y"]
    return (by.transform("sum") + 5 * frame["y"].mean()) / (by.transform("count") + 5)


def emptied(frame: pd.DataFrame, rng: Rng, share: float) -> pd.DataFrame:
    frame["reason"] = rng.choice(["price", "service", "other"], len(frame))
    frame.loc[(frame["y"] == "no") & (rng.random(len(frame)) < share), "reason"] = None
    return frame


def with_product(frame: pd.DataFrame, rng: Rng) -> pd.DataFrame:
    frame["area"] = rng.lognormal(3, 0.4, len(frame))
    frame["price_per_area"] = frame["y"] / frame["area"]
    return frame


def with_difference(frame: pd.DataFrame, rng: Rng) -> pd.DataFrame:
    frame["gross"] = rng.normal(200, 40, len(frame))
    frame["costs"] = frame["gross"] - frame["y"]
    return frame


def with_log_parts(frame: pd.DataFrame, rng: Rng) -> pd.DataFrame:
    frame["part0"] = frame["y"] * rng.uniform(0.2, 0.8, len(frame))
    frame["part1"] = frame["y"] - frame["part0"]
    frame["y"] = np.log(frame["y"])
    return frame


def flipped(frame: pd.DataFrame, rng: Rng) -> pd.DataFrame:
    some = frame.iloc[rng.choice(len(frame), 70, replace=False)].copy()
    some["y"] = some["y"].map({"yes": "no", "no": "yes"})
    return shuffled(pd.concat([frame, some]), rng)


def set_cells(name: str, values: list[object]) -> Callable[[pd.DataFrame, Rng], pd.DataFrame]:
    def change(frame: pd.DataFrame, rng: Rng) -> pd.DataFrame:
        if not all(isinstance(v, float) for v in values):
            frame[name] = frame[name].astype(object)
        frame.loc[rng.choice(len(frame), len(values), replace=False), name] = values
        return frame

    return change


@dataclass(frozen=True)
class Case:
    name: str
    base: Callable[[Rng], pd.DataFrame]
    plant: Callable[[pd.DataFrame, Rng], pd.DataFrame]
    code: str
    columns: tuple[str, ...] = ()
    severity: tuple[str, ...] = ERROR


def rebuilt(make: Callable[[Rng], pd.DataFrame]) -> Callable[[pd.DataFrame, Rng], pd.DataFrame]:
    return lambda frame, rng: make(rng)


CASES = (
    Case("copies of numbers", numbers, copies, "duplicate-rows"),
    Case("copies in a small table", lambda r: numbers(r, 100), copies, "duplicate-rows"),
    Case("copies of categories", categories, copies, "duplicate-rows"),
    Case("copies of whole numbers", whole_numbers, copies, "duplicate-rows"),
    Case("noise of a millionth", numbers, lambda f, r: noisy_copies(f, r, 1e-6), "near-duplicates"),
    Case("noise of a hundredth", classes, lambda f, r: noisy_copies(f, r, 1e-2), "near-duplicates"),
    Case("one cell changed", classes, cell_changed, "near-duplicates"),
    Case("letter case changed", classes, text_changed, "near-duplicates"),
    Case("hidden mix", numbers, rebuilt(mixes), "grouped-rows", ("mix0", "mix4")),
    Case(
        "patients", lambda r: patients(r, repeated=False), rebuilt(patients), "grouped-rows", ("patient_id",)
    ),
    Case("dated walk", lambda r: walk(r, drifting=False), rebuilt(walk), "time-order", ("date",)),
    Case("undated walk", lambda r: undated(r, drifting=False), rebuilt(undated), "time-order", (), LOUD),
    Case(
        "dated walk, rows shuffled",
        lambda r: walk(r, drifting=False),
        lambda f, r: shuffled(walk(r), r),
        "time-order",
        ("date",),
    ),
    Case("other units", numbers, assign("leak", lambda f, r: 1.8 * f["y"] + 32), "target-leak", ("leak",)),
    Case("logarithm", positive, assign("leak", lambda f, r: np.log(f["y"])), "target-leak", ("leak",)),
    Case("reciprocal", positive, assign("leak", lambda f, r: 1 / f["y"]), "target-leak", ("leak",)),
    Case(
        "little noise",
        numbers,
        assign("leak", lambda f, r: f["y"] + 0.02 * f["y"].std() * r.normal(size=len(f))),
        "target-leak",
        ("leak",),
    ),
    Case("rounding", numbers, assign("leak", lambda f, r: f["y"].round(-1)), "target-leak", ("leak",)),
    Case(
        "bins",
        numbers,
        assign("leak", lambda f, r: pd.qcut(f["y"], 4, labels=list("wxyz")).astype(str)),
        "target-leak",
        ("leak",),
    ),
    Case(
        "a copy with gaps",
        numbers,
        assign("leak", lambda f, r: f["y"].where(r.random(len(f)) < 0.6)),
        "target-leak",
    ),
    Case(
        "coded class",
        classes,
        assign("leak", lambda f, r: f["y"].map({"yes": 7, "no": 3})),
        "target-leak",
        ("leak",),
    ),
    Case(
        "coded class among many",
        many_classes,
        assign("leak", lambda f, r: f["y"].str[6:].astype(int)),
        "target-leak",
        ("leak",),
    ),
    Case(
        "after the outcome",
        classes,
        assign("leak", lambda f, r: np.where(f["y"] == "yes", r.gamma(2, 50, len(f)), 0)),
        "target-leak",
        ("leak",),
    ),
    Case(
        "mean of the category",
        zipped,
        assign("te", lambda f, r: f.groupby("zip")["y"].transform("mean")),
        "target-leak",
        ("te",),
    ),
    Case("left-out mean", zipped, assign("te", left_out_mean), "target-leak", ("te",)),
    Case("smoothed mean", zipped, assign("te", smoothed_mean), "target-leak", ("te",)),
    Case("sum of two", numbers, lambda f, r: split_in(f, r, 2), "target-parts", ("part0", "part1")),
    Case(
        "sum of three", numbers, lambda f, r: split_in(f, r, 3), "target-parts", ("part0", "part1", "part2")
    ),
    Case("sum of five", numbers, lambda f, r: split_in(f, r, 5), "target-parts", ("part0", "part4")),
    Case("difference", numbers, with_difference, "target-parts", ("gross", "costs")),
    Case("product", positive, with_product, "target-parts", ("area", "price_per_area")),
    Case("logarithm of a sum", positive, with_log_parts, "target-parts", ("part0", "part1")),
    Case("gap reveals class", classes, lambda f, r: emptied(f, r, 1.0), "missing-informative", ("reason",)),
    Case("gap reveals most", classes, lambda f, r: emptied(f, r, 0.85), "missing-informative", ("reason",)),
    Case("other label", classes, flipped, "label-conflict", (), ("warning",)),
    Case("rare class", classes, set_cells("y", ["third"] * 3), "rare-class", (), ("warning",)),
    Case("code for missing", numbers, set_cells("x1", [-999.0] * 9), "outliers", ("x1",), ("warning",)),
    Case("far value", numbers, set_cells("x1", [1e4, -3e3]), "outliers", ("x1",), ANY),
    Case("infinite", numbers, set_cells("x1", [float("inf")] * 2), "infinite-values", ("x1",), ANY),
    Case("words among numbers", numbers, set_cells("x1", ["broken"] * 5), "mixed-types", ("x1",), ANY),
    Case(
        "nearly constant",
        numbers,
        assign("k", lambda f, r: [1, 2] + [0] * (len(f) - 2)),
        "constant-column",
        ("k",),
        ANY,
    ),
)


def run(frame: pd.DataFrame) -> tuple[Finding, ...]:
    return audit(read(frame, target="y"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_fault_is_found_and_its_healthy_twin_raises_no_error(case: Case) -> None:
    rng = np.random.default_rng(7)
    healthy = case.base(rng)
    errors = [f for f in run(healthy) if f.severity == "error"]
    assert errors == []
    findings = run(case.plant(healthy.copy(), rng).reset_index(drop=True))
    hits = [f for f in findings if f.code == case.code and set(case.columns) <= set(f.columns)]
    assert hits, findings
    assert hits[0].severity in case.severity, findings
    assert hits[0].fix
    assert hits[0].message


def test_proposals_name_the_option() -> None:
    rng = np.random.default_rng(1)
    grouped = next(f for f in run(mixes(rng)) if f.code == "grouped-rows")
    assert "--group mix0 --group mix1 --group mix2 --group mix3 --group mix4" in grouped.fix
    assert grouped.evidence["group"] == [f"mix{i}" for i in range(5)]
    assert grouped.evidence["flatter_low"] > 0
    timed = next(f for f in run(walk(rng)) if f.code == "time-order")
    assert "--time date" in timed.fix
    undated_ = next(f for f in run(undated(rng)) if f.code == "time-order")
    assert "--time row" in undated_.fix
    parts = next(f for f in run(split_in(numbers(rng), rng, 2)) if f.code == "target-parts")
    assert "y = part0 + part1 (exactly)" in parts.message
    assert "--drop part0 --drop part1" in parts.fix


def test_a_mix_without_an_effect_of_its_own_is_no_error() -> None:
    findings = run(mixes(np.random.default_rng(3), effect=0))
    assert not [f for f in findings if f.severity == "error"]
