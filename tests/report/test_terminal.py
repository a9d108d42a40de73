from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from soundfit.records.finding import Finding
from soundfit.records.said import phrases, say
from soundfit.report.terminal import print_findings, print_summary


def printed(
    show: Callable[..., None], what: Any, *, width: int = 80, tty: bool = False, **options: Any
) -> str:
    stream = io.StringIO()
    console = Console(
        file=stream,
        width=width,
        force_terminal=tty,
        color_system="standard" if tty else None,
        legacy_windows=False,
    )
    show(what, console, **options)
    return stream.getvalue().replace("\N{NO-BREAK SPACE}", " ")


def record(folder: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    return loaded


@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("task", ["regression", "binary"])
def test_summary_fits_the_width_without_colours_in_a_file(
    make_run: Callable[..., Path], width: int, task: str
) -> None:
    text = printed(print_summary, record(make_run(task=task)), width=width, path=Path("run"))
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= width
    assert not set(text) & set("│┃┏╭┌")


def test_summary_says_what_matters(make_run: Callable[..., Path]) -> None:
    run = record(make_run())
    text = printed(print_summary, run, path=Path("run"))
    for part in (
        "Good fit  Validation error",
        "Do not trust the score yet: target-leak.",
        f"{run['exam']['value']:.3f}",
        "Linear model",
        "mlp 64 × 2",
        "In the data: 1 error, 1 warning, 1 note",
        "Fix: --drop Price_per_sqft",
        "1 more in the report",
        "What to do next",
        "soundfit predict run/ new.csv",
        str(Path("run") / "report.html"),
    ):
        assert part in text


def test_sealed_summary_offers_the_exam_and_no_test_score(make_run: Callable[..., Path]) -> None:
    text = printed(print_summary, record(make_run(sealed=True)))
    assert "soundfit exam run/" in text
    assert "In the exam" not in text


def test_colours_in_a_terminal(make_run: Callable[..., Path]) -> None:
    assert "\x1b[1;32mGood fit" in printed(print_summary, record(make_run()), tty=True)


def test_markup_in_names_is_text(make_run: Callable[..., Path]) -> None:
    run = record(make_run(rename=lambda name: f"[bold red]{name}[/]"))
    assert "[bold red]Price_per_sqft[/]" in " ".join(printed(print_summary, run).split())


def test_an_empty_record_prints() -> None:
    assert "No verdict" in printed(print_summary, {})


def test_findings_come_worst_first_with_their_fix() -> None:
    findings = [
        Finding("outliers", "note", "Three values lie far out."),
        Finding("target-leak", "error", "One column is the target.", ("x",), fix="--drop x"),
    ]
    text = printed(print_findings, findings)
    assert text.index("target-leak") < text.index("outliers")
    assert "Fix: --drop x" in text
    assert "1 error, 1 note" in text
    assert "found nothing" in printed(print_findings, [])


def test_a_run_read_from_its_folder_is_told_in_chinese(tmp_path: Path) -> None:
    """``soundfit exam`` reads the record of an earlier day; its sentences come back through words.json."""
    text = say("Fewer features: the {n} model inputs that carry most", n=3)
    tried = {"text": text, "before": 0.31, "after": 0.30, "se": 0.01, "kept": True, "applied": True}
    document = {"verdict": {"code": "good-fit", "text": "", "prescriptions": [tried]}}
    (tmp_path / "words.json").write_text(json.dumps(phrases(document)), encoding="utf-8")
    read = json.loads(json.dumps(document))
    chinese = printed(print_summary, read, path=tmp_path, lang="zh")
    assert "更少的特征：只用最有用的 3 个模型输入：0.31 → 0.3" in chinese
    assert "，采用" in chinese
    english = printed(print_summary, read, path=tmp_path)
    assert f"{text}: 0.31 → 0.3" in english


def test_findings_are_told_in_chinese() -> None:
    message = say(
        "Column {name!r} is {shown} in {top:.2%} of the rows.", name="Street", shown="'Pave'", top=0.9959
    )
    fix = say("It can tell little: --drop {name!r}, or leave it.", name="Street")
    finding = Finding("constant-column", "note", message, columns=("Street",), fix=fix)
    chinese = printed(print_findings, [finding], lang="zh", width=100)
    assert "列 'Street' 在 99.59% 的行中为 'Pave'。" in chinese
    assert "处理：它几乎不含信息：--drop 'Street'，或保留。" in chinese
    assert str(message) in printed(print_findings, [finding], width=100)
