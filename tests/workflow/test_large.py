"""Tables beyond memory: a sample chooses and examines, every other row trains; memory stays in its bounds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

import soundfit as sf
from soundfit.bank import BankData
from soundfit.data.batches import BatchedFile, batched, bytes_in_memory
from soundfit.errors import DataError, UsageError
from soundfit.study.blocks import Blocks, write_blocks
from soundfit.study.views import table_views
from soundfit.workflow import large
from soundfit.workflow.options import parse_memory


def part(seed: int, n: int, *, columns: int = 4, classes: bool = False) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, columns))
    y = x[:, 0] - x[:, 1] ** 2 + 0.3 * rng.normal(size=n)
    frame = pd.DataFrame(x, columns=[f"x{i}" for i in range(columns)])
    frame["kind"] = rng.choice(["a", "b", "c"], size=n)
    frame["y"] = np.where(y > -1, "high", "low") if classes else y + (frame["kind"] == "a")
    return frame


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_batches_hold_what_the_whole_file_holds(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("soundfit.data.batches.BATCH_ROWS", 100)
    monkeypatch.setattr("soundfit.data.batches._BLOCK_BYTES", 5_000)
    frame = part(0, 730)
    path = tmp_path / f"t.{ending}"
    frame.to_csv(path, index=False) if ending == "csv" else frame.to_parquet(path)
    file = batched(path)
    assert file is not None
    assert file.n_rows == 730
    parts = list(file.frames())
    assert len(parts) > 3
    assert [start for start, _ in parts] == list(np.cumsum([0, *(len(p) for _, p in parts[:-1])]))
    whole = pd.concat([p for _, p in parts], ignore_index=True)
    assert list(whole.columns) == list(frame.columns)
    np.testing.assert_allclose(whole["x0"].astype(float), frame["x0"])
    sampled, rows = file.sample(50, seed=1)
    assert (sampled["kind"].to_numpy() == frame["kind"].to_numpy()[rows]).all()
    assert (np.diff(rows) > 0).all()


def test_what_cannot_be_read_in_pieces_is_read_whole(tmp_path: Path) -> None:
    for name, text in (
        ("a.csv", "# by hand\na,b\n1,2\n"),
        ("b.csv", "a;b\n1,5;2\n"),
        ("c.csv", "a b\n1 2\n"),
    ):
        (tmp_path / name).write_text(text)
        assert batched(tmp_path / name) is None
    assert batched(part(0, 10)) is None
    assert batched(tmp_path / "none.parquet") is None


def test_a_file_that_breaks_off_is_told_with_its_row(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + "1,2\n" * 10 + "1,2,3\n")
    with pytest.raises(DataError, match="of one shape from start to end"):
        list(BatchedFile(path).frames())


def blocks_of(folder: Path, n: int = 1000, rows: int = 120) -> tuple[Blocks, np.ndarray]:
    x = np.arange(n * 2, dtype=np.float32).reshape(n, 2)
    pieces = iter([(x[i : i + 90], x[i : i + 90, 0]) for i in range(0, n, 90)])
    made = write_blocks(folder, pieces, n_rows=n, n_features=2, classes=False, rows=rows, seed=5, key="k")
    return made, x


def test_blocks_hold_each_row_once_and_feed_them_in_turn(tmp_path: Path) -> None:
    blocks, x = blocks_of(tmp_path)
    assert blocks.n_rows == len(x)
    stored = [np.fromfile(tmp_path / f"{b}.inputs", dtype=np.float32).reshape(-1, 2) for b in range(8)]
    assert sorted(map(tuple, np.concatenate(stored))) == sorted(map(tuple, x))
    data = BankData.of(np.zeros((1, blocks.rows + 3, 2)), np.full((1, blocks.rows + 3, 1), -1.0))
    turn = []
    for epoch in range(1, len(blocks.counts) + 1):
        blocks.fill(epoch, data)
        seen = data.inputs_VN[0, : blocks.rows].numpy()
        assert (data.targets_VN[0, : blocks.rows, 0].numpy() == seen[:, 0]).all()
        assert len(np.unique(seen[:, 0])) == blocks.rows
        turn.append(set(seen[:, 0].tolist()))
    # No block comes twice in a turn, and what lies behind the block stays.
    assert len(set.union(*turn)) == len(blocks.counts) * blocks.rows
    assert (data.targets_VN[0, blocks.rows :] == -1).all()
    again = data.inputs_VN.clone()
    blocks.fill(1, data)
    blocks.fill(len(blocks.counts), data)
    assert (data.inputs_VN == again).all()


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes at which a table of a few thousand rows is a large one."""
    monkeypatch.setattr(large, "_MOST_SAMPLE", 1_500)
    monkeypatch.setattr(large, "_FEWEST_SAMPLE", 1_500)
    monkeypatch.setattr(large, "_MOST_BLOCK", 2_000)


@pytest.mark.slow
@pytest.mark.parametrize("classes", [False, True])
def test_all_rows_outside_the_sample_train_but_copies_of_sealed_rows(
    classes: bool, small_limits: None, tmp_path: Path
) -> None:
    path = tmp_path / "t.parquet"
    frame = part(1, 12_000, classes=classes)
    frame.to_parquet(path)
    options = {"target": "y", "model": "linear", "memory": "1MB", "out": tmp_path / "run"}
    run = sf.train(path, keep_sealed=True, **options)
    data = run.document["data"]
    assert (data["rows"], data["sampled"]) == (12_000, 1_500)
    split = pd.read_parquet(tmp_path / "run" / "split.parquet")
    assert len(split) == 1_500
    n_test = int((split["role"] == "test").sum())
    n_validation = int((split["fold"] == 0).sum())
    assert data["all_rows"]["trained"] == 12_000 - n_test - n_validation
    assert data["all_rows"]["copies_left_out"] == 0
    assert not (tmp_path / "run" / ".resume").exists()
    # The exam of a run folder draws the same sample again.
    from soundfit.workflow.exam import exam_run

    document, _ = exam_run(tmp_path / "run")
    assert document["exam"]["rows"] == n_test
    # The same table with its sealed rows written twice: the copies train nothing.
    sealed = frame.iloc[split.loc[split["role"] == "test", "row"]]
    pd.concat([frame, sealed]).to_parquet(tmp_path / "twice.parquet")
    file = batched(tmp_path / "twice.parquet")
    assert file is not None
    sampled = split["row"].to_numpy()
    rest = large._Rest(file, run.table, run.plan, sampled, table_views(run.table, run.plan))
    assert rest.write(tmp_path / "blocks", 2_000, 0).n_rows == data["all_rows"]["trained"]
    assert rest.copies == n_test


@pytest.mark.parametrize("option", [{"group": "kind"}, {"time": "x0"}, {"nested": True}])
def test_what_needs_the_whole_table_is_refused_in_words(option: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    part(0, 3_000).to_parquet(path)
    with pytest.raises(UsageError, match="needs the whole table in memory"):
        sf.train(path, target="y", memory="1MB", **option)


LIMITED = """
import json, resource, sys
import soundfit as sf
from soundfit.workflow import train
base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
run = sf.train(sys.argv[1], target="y", model="linear", memory="100MiB", budget="60s")
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({"base": base, "peak": peak, **run.document["data"], "cv": run.document["cv"]}))
"""


@pytest.mark.slow
def test_a_table_of_many_times_the_memory_trains_within_it(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    n, columns = 60_000, 20
    writer = None
    for seed in range(20):
        table = pa.Table.from_pandas(part(seed, n, columns=columns), preserve_index=False)
        writer = writer or pa.parquet.ParquetWriter(path, table.schema)
        writer.write_table(table)
    assert writer is not None
    writer.close()
    size = path.stat().st_size
    needed = bytes_in_memory(BatchedFile(path))
    assert size > 180e6
    assert needed > 15 * parse_memory("100MiB")
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    # Above what the libraries alone take.
    assert found["peak"] - found["base"] < 350e6, found
    assert found["rows"] == 20 * n
    assert found["all_rows"]["trained"] > 0.98 * 20 * n


@pytest.mark.parametrize(
    ("text", "size"), [("8GiB", 2**33), ("8GB", 8 * 10**9), ("1.5k", 1536), ("100", 100), (None, None)]
)
def test_memory_is_a_size(text: str | None, size: int | None) -> None:
    assert parse_memory(text) == size


@pytest.mark.parametrize("text", ["much", "-1GB", "0", ""])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="8GiB or 500MB"):
        parse_memory(text)
