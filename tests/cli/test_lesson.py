"""``soundfit lesson``: the list, a page, all pages with their index."""

from __future__ import annotations

import subprocess
import sys

import pytest

from soundfit.cli import main
from soundfit.lessons import catalogue


@pytest.fixture
def cli(monkeypatch, capsys, tmp_path):
    """Run the command line in this process: (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)

    def run(*args):
        monkeypatch.setattr(sys, "argv", ["soundfit", "lesson", *map(str, args)])
        with pytest.raises(SystemExit) as stopped:
            main.run()
        printed = capsys.readouterr()
        return stopped.value.code or 0, printed.out, printed.err

    return run


def test_lessons_are_listed_in_either_language_without_torch(cli):
    code, out, _ = cli()
    assert code == 0
    for entry in catalogue.LESSONS:
        assert entry.name in out
    assert "权重衰减" in cli("--lang", "zh")[1]
    check = "import sys; from soundfit.lessons import catalogue, page; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", check], check=True)


def test_a_lesson_prints_three_sentences_and_writes_one_page_that_loads_nothing(cli, tmp_path):
    code, out, err = cli("half-precision", "--out", "pages")
    assert code == 0, err
    assert out.count("\n- ") >= 3
    page = (tmp_path / "pages" / "half-precision.html").read_text(encoding="utf-8")
    assert "65,504" in page
    assert "65,504" in out
    assert "soundfit lesson half-precision --seed 0" in page
    assert 'src="http' not in page
    assert "index.html" not in page
    _, said, _ = cli("half-precision", "--lang", "zh", "--quiet")
    assert said.strip() == "已写入 lessons/half-precision.html"
    assert '<html lang="zh">' in (tmp_path / "lessons" / "half-precision.html").read_text(encoding="utf-8")


def test_all_lessons_are_run_in_order_with_an_index(cli, tmp_path, monkeypatch):
    two = tuple(e for e in catalogue.LESSONS if e.name in ("half-precision", "matrix-product"))
    monkeypatch.setattr(catalogue, "LESSONS", two)
    code, out, err = cli("all", "--out", "pages")
    assert code == 0, err
    index = (tmp_path / "pages" / "index.html").read_text(encoding="utf-8")
    for entry in two:
        assert f'href="{entry.name}.html"' in index
        assert "index.html" in (tmp_path / "pages" / f"{entry.name}.html").read_text(encoding="utf-8")
    assert out.strip().endswith("index.html")


def test_a_lesson_that_there_is_not_is_one_paragraph(cli):
    code, _, err = cli("dropuot")
    assert code == 2
    assert "Fix: try 'soundfit lesson dropout'" in err
