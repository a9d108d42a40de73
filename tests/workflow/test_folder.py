import json

import pytest

from soundfit.errors import UsageError
from soundfit.workflow.folder import check_free, default_folder, read_run, whole_folder, write_json


def test_an_empty_or_new_folder_is_free(tmp_path):
    check_free(tmp_path)
    check_free(tmp_path / "new" / "deep")


def test_a_folder_with_something_in_it_and_a_file_are_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="is not empty"):
        check_free(tmp_path)
    with pytest.raises(UsageError, match="is a file"):
        check_free(tmp_path / "notes.txt")


def test_a_failure_leaves_nothing_half_written(tmp_path):
    def fail():
        with whole_folder(tmp_path / "run") as folder:
            (folder / "a").write_text("a")
            raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_in_words(tmp_path):
    def fail():
        with whole_folder(tmp_path / "run"):
            raise OSError(28, "No space left on device")

    with pytest.raises(UsageError, match=r"No space left on device.*Fix: free some space"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_whole_folders_replace_an_empty_one(tmp_path):
    (tmp_path / "run").mkdir()
    with whole_folder(tmp_path / "run") as folder:
        (folder / "a").write_text("a")
    assert [p.name for p in tmp_path.iterdir()] == ["run"]
    assert (tmp_path / "run" / "a").read_text() == "a"


def test_json_has_null_for_what_is_not_finite(tmp_path):
    write_json(tmp_path / "x.json", {"a": [float("nan"), 1.0], 2: (float("inf"),)})
    assert json.loads((tmp_path / "x.json").read_text()) == {"a": [None, 1.0], "2": [None]}


@pytest.mark.parametrize("content", [None, "{", "[]", '{"schema": 7}'])
def test_what_is_no_run_is_refused_in_words(tmp_path, content):
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(UsageError, match="Fix:"):
        read_run(tmp_path)


def test_default_folders_do_not_collide(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert str(default_folder("data/houses.csv")) == "runs/houses"
    (tmp_path / "runs" / "houses").mkdir(parents=True)
    assert str(default_folder("data/houses.csv")) == "runs/houses-2"
