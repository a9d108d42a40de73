from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from soundfit.errors import UsageError
from soundfit.report.comparability import comparability
from soundfit.report.compare import write_comparison
from soundfit.report.run_view import read_run
from soundfit.report.words import Words

MakeRun = Callable[..., Path]
Change = Callable[[dict[str, Any]], None]


def change(folder: Path, edit: Change) -> Path:
    path = folder / "run.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    edit(record)
    path.write_text(json.dumps(record), encoding="utf-8")
    return folder


def worse(share: float, jitter: float) -> Change:
    def edit(record: dict[str, Any]) -> None:
        cv = record["cv"]
        cv["per_fold"] = [v * (1 + share + jitter * (-1) ** f) for f, v in enumerate(cv["per_fold"])]
        cv["value"] *= 1 + share

    return edit


def headline(path: Path) -> str:
    page = path.read_text(encoding="utf-8")
    found = re.search(r'<h1 id="headline">(.*?)</h1>', page, re.DOTALL)
    assert found
    return found[1].replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize(("jitter", "words"), [(0.001, "a clear difference"), (0.2, "no clear difference")])
def test_runs_on_the_same_folds_are_compared_fold_by_fold(
    make_run: MakeRun, tmp_path: Path, jitter: float, words: str
) -> None:
    runs = [change(make_run(), worse(0.05, jitter)), make_run()]
    text = headline(write_comparison(runs, tmp_path / "compare.html"))
    assert text.startswith("run1 is ahead of run0 in cross-validation: 4.8 % less error (")
    assert f"That is {words}" in text


def test_all_that_is_not_comparable_is_warned_of(make_run: MakeRun) -> None:
    def metric(record: dict[str, Any]) -> None:
        record["cv"]["metric"] = "rmse"

    def data(record: dict[str, Any]) -> None:
        record["data"]["sha256"] = "0" * 64

    def opened(record: dict[str, Any]) -> None:
        record["exam"]["openings"] = 2

    _ = Words()
    names = ["a", "b"]
    plain = read_run(make_run())
    for other, words in [
        (change(make_run(), metric), "different metrics (a: rmse_log; b: rmse)"),
        (make_run(task="binary"), "different targets"),
        (change(make_run(), data), "different data"),
        (make_run(seed=5), "sealed test rows differ"),
        (make_run(sealed=True), "Still sealed: b"),
        (change(make_run(), opened), "b: its test rows had been opened 2 times"),
    ]:
        assert words in " ".join(comparability([plain, read_run(other)], names, _).warnings)
    alike = comparability([plain, read_run(make_run())], names, _)
    assert alike.cv
    assert alike.folds
    assert alike.exam
    assert not alike.warnings


def test_other_folds_of_the_same_rows_are_told_from_other_test_rows(make_run: MakeRun) -> None:
    first, second = make_run(), make_run()
    split = pd.read_parquet(second / "split.parquet")
    split["fold"] = (split["fold"] + 1) % 5
    split.to_parquet(second / "split.parquet")
    shared = comparability([read_run(first), read_run(second)], ["a", "b"], Words())
    assert (shared.cv, shared.folds) == (True, False)
    assert "Their folds differ" in " ".join(shared.warnings)


def test_incomparable_runs_are_not_ranked_and_no_bar_is_drawn(make_run: MakeRun, tmp_path: Path) -> None:
    path = write_comparison([make_run(), make_run(task="binary")], tmp_path / "compare.html")
    assert "cannot be ranked" in headline(path)
    assert 'class="bar"' not in path.read_text(encoding="utf-8")


def test_names_and_settings_stand_side_by_side(make_run: MakeRun, tmp_path: Path) -> None:
    def wide(record: dict[str, Any]) -> None:
        record["chosen"]["width"] = 4096
        record["command"] = "<script>alert(1)</script>"

    page = write_comparison([make_run(), change(make_run(), wide)], tmp_path / "c.html").read_text(
        encoding="utf-8"
    )
    assert re.search(r'<tr class="is-near"><td>width.*?64.*?4,096', page, re.DOTALL)
    assert "<script>alert(1)" not in page


def test_empty_records_still_make_a_page(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text("{}", encoding="utf-8")
    assert "cannot be ranked" in headline(
        write_comparison([tmp_path / "a", tmp_path / "b"], tmp_path / "c.html")
    )


def test_one_run_is_no_comparison(make_run: MakeRun, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at least two run folders"):
        write_comparison([make_run()], tmp_path / "c.html")
