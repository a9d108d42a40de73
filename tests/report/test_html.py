from __future__ import annotations

import copy
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from soundfit.errors import UsageError
from soundfit.report import html
from soundfit.report.html import render_report, write_page, write_report
from soundfit.report.run_view import read_run

MakeRun = Callable[..., Path]
TASKS = ("regression", "binary", "many-class")
FAILURE = "An error in soundfit left these parts out"


class Page(HTMLParser):
    """The elements of a page, its visible text, and the content of its scripts by id."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.scripts: dict[str, str] = {}
        self._open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self._open.append(dict(attrs).get("id") or tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._open:
            self.scripts[self._open[-1]] = self.scripts.get(self._open[-1], "") + data
        else:
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def page_of(folder: Path) -> Page:
    return Page(write_report(folder).read_text(encoding="utf-8"))


@pytest.mark.parametrize("task", TASKS)
def test_report_is_one_small_file_that_loads_nothing(make_run: MakeRun, task: str) -> None:
    folder = make_run(task=task)
    path = write_report(folder)
    assert path == folder / "report.html"
    assert path.stat().st_size < 3_000_000
    page = Page(path.read_text(encoding="utf-8"))
    assert not any("src" in attributes for _tag, attributes in page.elements)
    links = [a["href"] or "" for tag in ("a", "link") for a in page.all(tag)]
    assert all(link.startswith(("#", "data:")) for link in links)
    style = page.scripts["style"]
    assert "url(" not in style
    assert "@import" not in style
    assert not [p.name for p in folder.iterdir() if p.name.startswith(".")]


@pytest.mark.parametrize("task", TASKS)
def test_every_figure_has_a_title_a_computed_sentence_and_a_drawing(make_run: MakeRun, task: str) -> None:
    page = page_of(make_run(task=task))
    drawn = json.loads(page.scripts["figures"])
    places = [a["data-figure"] for a in page.all("div") if "data-figure" in a]
    assert set(places) == set(drawn)
    assert FAILURE not in page.text
    assert {"capacity", "epochs", "learning", "split", "folds", "calibration"} <= set(places)
    script = (Path(html.__file__).parent / "templates" / "figures.js").read_text(encoding="utf-8")
    for name, figure in drawn.items():
        assert re.search(rf"^    {figure['kind']}\(figure, width\)", script, re.MULTILINE), name
        assert figure["label"] in page.text
        assert re.search(r"\d", figure["sentence"]), f"{name} says nothing of its numbers"
        assert re.sub(r"\s+", " ", figure["sentence"]) in page.text
    labelled = {a.get("aria-labelledby") for a in page.all("figure")}
    ids = {a.get("id") for _tag, a in page.elements}
    assert labelled <= ids


def test_first_screen_holds_verdict_scores_pictures_and_next_steps(make_run: MakeRun) -> None:
    folder = make_run()
    text = page_of(folder).text
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    order = [
        record["verdict"]["text"],
        "Exam, sealed test rows",
        "Linear model",
        "Always the mean",
        "What to do next",
        "Error over capacity",
        "Loss over epochs",
        "Error over data size",
        "What was found in the data",
    ]
    at = 0
    for part in order:
        assert part in text[at:], f"{part!r} is missing or out of order"
        at = text.index(part, at)
    assert f"{record['exam']['value']:.3f}" in text
    assert "soundfit predict run/ new.csv" in text


def test_error_findings_say_do_not_trust_the_score(make_run: MakeRun) -> None:
    folder = make_run()
    assert "Do not trust the score yet: target-leak" in page_of(folder).text
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    record["audit"]["findings"] = [f for f in record["audit"]["findings"] if f["severity"] != "error"]
    (folder / "run.json").write_text(json.dumps(record), encoding="utf-8")
    assert "Do not trust the score" not in page_of(folder).text


def test_user_supplied_names_stay_text(make_run: MakeRun) -> None:
    evil = "</script><!--<script>alert(1)</script><img src=x onerror=alert(2)>\"'&{{7*7}}\u2028"
    folder = make_run(task="binary", rename=lambda name: evil + name)
    page = page_of(folder)
    assert not page.all("img")
    assert len(page.all("script")) == 5
    assert not any(name.startswith("on") for _tag, a in page.elements for name in a)
    assert "49" not in re.findall(r"\{\{7\*7\}\}|\b49\b(?=Status)", page.text)
    assert "<img src=x onerror=alert(2)>" in page.text
    json.loads(page.scripts["figures"])


def test_sealed_report_says_nothing_of_the_test_rows(make_run: MakeRun) -> None:
    folder = make_run(task="regression", sealed=True)
    split = pd.read_parquet(folder / "split.parquet")
    test = split.loc[split["role"] == "test", "row"]
    stray = pd.DataFrame({"row": test, "target": 1.0, "prediction": 7.77e9, "fold": 0})
    predictions = pd.read_parquet(folder / "predictions.parquet")
    pd.concat([predictions, stray]).to_parquet(folder / "predictions.parquet")
    page = page_of(folder)
    assert "sealed" in page.text
    assert "soundfit exam run/" in page.text
    assert "Also in the exam" not in page.text
    assert "In the exam" not in page.text
    shown = {
        row for row, _true, _predicted in json.loads(page.scripts["figures"])["predicted"]["data"]["points"]
    }
    assert not shown & set(test)
    assert "7,770" not in page.text


def test_opening_twice_is_said(make_run: MakeRun) -> None:
    folder = make_run()
    view = read_run(folder)
    record = copy.deepcopy(dict(view.record))
    record["exam"]["openings"] = 3
    assert "opened 3 times" in Page(render_report(replace(view, record=record))).text
    assert "opened 3 times" not in Page(render_report(view)).text


def _damaged(record: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield copies of a record with one key absent or empty, at the top or one level down."""
    for outer, inner in record.items():
        yield f"no {outer}", {key: value for key, value in record.items() if key != outer}
        if inner:
            yield f"{outer} empty", {**record, outer: type(inner)()}
        for name in inner if isinstance(inner, dict) else ():
            yield f"{outer}.{name} = None", {**record, outer: {**inner, name: None}}


@pytest.mark.slow
def test_no_missing_piece_of_the_record_stops_the_report(make_run: MakeRun) -> None:
    views = []
    for task in ("regression", "binary"):
        view = read_run(make_run(task=task))
        # Few rows make the many pages cheap; the record is what is damaged here.
        small = replace(
            view,
            split=view.split.head(60),
            predictions=view.predictions.head(90),
            trace=view.trace[view.trace["chosen"]].head(90),
            members=view.members[view.members["configuration"] < 4],
        )
        views.append(small)
    for view in views:
        for what, record in _damaged(dict(view.record)):
            if view is views[1] and not what.startswith(("data", "no data", "cv")):
                continue
            try:
                page = render_report(replace(view, record=record))
            except Exception as error:
                pytest.fail(f"{what}: {type(error).__name__}: {error}")
            assert "</html>" in page, what
            assert FAILURE not in page, what


@pytest.mark.parametrize("name", ["split", "predictions", "trace", "members"])
@pytest.mark.parametrize("damage", ["absent", "empty", "torn", "bare", "nan"])
def test_no_missing_or_odd_table_stops_the_report(make_run: MakeRun, name: str, damage: str) -> None:
    folder = make_run()
    path = folder / f"{name}.parquet"
    frame = pd.read_parquet(path)
    if damage == "absent":
        path.unlink()
    elif damage == "torn":
        path.write_bytes(path.read_bytes()[:200])
    elif damage == "empty":
        frame.head(0).to_parquet(path)
    elif damage == "bare":
        frame[frame.columns[:1]].to_parquet(path)
    else:
        numbers = frame.select_dtypes("float").columns
        frame[numbers] = float("nan")
        frame.to_parquet(path)
    text = page_of(folder).text
    assert "Good fit" in text
    assert FAILURE not in text


def test_a_fault_in_one_picture_costs_that_picture_only(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    def faulty(*_: object) -> None:
        raise IndexError("an index <b>beyond</b> the end")

    monkeypatch.setattr(html, "split_figure", faulty)
    page = page_of(make_run())
    assert FAILURE in page.text
    assert "split: IndexError: an index <b>beyond</b> the end" in page.text
    assert "folds" in json.loads(page.scripts["figures"])


def test_an_interrupted_run_still_has_a_page(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}", encoding="utf-8")
    text = page_of(tmp_path).text
    assert "This run has no verdict" in text


def test_a_folder_without_a_run_is_refused_with_the_fix(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"has a run\.json.*Received: .*which has none\. Fix: name the folder"
    ):
        write_report(tmp_path)
    (tmp_path / "run.json").write_text('{"cut', encoding="utf-8")
    with pytest.raises(UsageError, match="cannot be read"):
        write_report(tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_a_page_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("before", encoding="utf-8")
    with pytest.raises(UnicodeEncodeError):
        write_page(path, "a lone surrogate \ud800 cannot be written")
    assert path.read_text(encoding="utf-8") == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_many_rows_and_members_stay_small(make_run: MakeRun) -> None:
    folder = make_run()
    predictions = pd.read_parquet(folder / "predictions.parquet")
    pd.concat([predictions] * 60, ignore_index=True).to_parquet(folder / "predictions.parquet")
    members = pd.read_parquet(folder / "members.parquet")
    copies = [members.assign(configuration=members["configuration"] + 1000 * i) for i in range(40)]
    pd.concat(copies, ignore_index=True).to_parquet(folder / "members.parquet")
    path = write_report(folder)
    assert path.stat().st_size < 1_500_000
    assert "The best 200 of 800" in Page(path.read_text(encoding="utf-8")).text


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Chromium to draw")
@pytest.mark.slow
def test_a_browser_draws_every_figure(make_run: MakeRun, tmp_path: Path) -> None:
    folder = make_run(task="many-class")
    done = subprocess.run(
        [
            "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--virtual-time-budget=3000",
            "--dump-dom",
            write_report(folder).as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    page = Page(done.stdout)
    places = [a for a in page.all("div") if "data-figure" in a]
    drawn = [a for a in page.all("svg") if a.get("role") == "img"]
    assert len(places) == len(drawn) >= 7
    assert all(a.get("aria-label") for a in drawn)
