"""Reading: every common form of a table file gives the same table, and every bad one a teaching error."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from soundfit.data.source import read, unique_names
from soundfit.errors import UsageError

ROOT = Path(__file__).parents[2]
N = 40
RNG = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {
        "a": RNG.normal(size=N).round(3),
        "b": RNG.choice(["café", "None", "zoo"], N),
        "y": RNG.normal(size=N).round(3),
    }
)
CSV = FRAME.to_csv(index=False)
BODY = FRAME.to_csv(index=False, header=False)


def save(folder: Path, name: str, content: bytes | str) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


GOOD: dict[str, bytes | str] = {
    "plain.csv": CSV,
    "no_ending": CSV,
    "UPPER.CSV": CSV,
    "semicolon.csv": FRAME.to_csv(index=False, sep=";"),
    "decimal_comma.csv": FRAME.to_csv(index=False, sep=";", decimal=","),
    "declared.csv": "sep=;\n" + FRAME.to_csv(index=False, sep=";"),
    "tab.tsv": FRAME.to_csv(index=False, sep="\t"),
    "pipe.txt": FRAME.to_csv(index=False, sep="|"),
    "blanks.txt": FRAME.to_string(index=False),
    "mark.csv": b"\xef\xbb\xbf" + CSV.encode(),
    "utf16.csv": CSV.encode("utf-16"),
    "utf16_no_mark.csv": CSV.encode("utf-16-le"),
    "windows.csv": CSV.replace("\n", "\r\n").encode("cp1252"),
    "old_mac.csv": CSV.replace("\n", "\r"),
    "packed.csv.gz": gzip.compress(CSV.encode()),
    "packed_unnamed.csv": gzip.compress(CSV.encode()),
    "padded.csv": CSV.replace(",", " , "),
    "blank_lines.csv": "\n\n" + CSV.replace("\n", "\n\n"),
    "comment.csv": "# made by hand\n" + CSV,
    "trailing.csv": CSV.replace("\n", ",\n"),
    "trailing_in_rows.csv": "a,b,y\n" + BODY.replace("\n", ",\n"),
    "quoted.csv": FRAME.to_csv(index=False, quoting=1),
}


@pytest.mark.parametrize("name", GOOD)
def test_delimited_files_give_the_same_table(tmp_path, name):
    table = read(save(tmp_path, name, GOOD[name]), target="y")
    np.testing.assert_array_equal(table.target, FRAME["y"])
    assert table.task == "regression"
    assert [(c.name, c.kind, c.used) for c in table.columns] == [
        ("a", "numeric", True),
        ("b", "categorical", True),
    ]
    np.testing.assert_array_equal(table.frame["a"], FRAME["a"])
    assert table.frame["b"].tolist() == FRAME["b"].tolist()
    assert table.findings == ()
    assert table.n_file_rows == N


@pytest.mark.parametrize(("name", "write"), [("t.parquet", "to_parquet"), ("t.feather", "to_feather")])
def test_binary_files_give_the_same_table(tmp_path, name, write):
    getattr(FRAME, write)(tmp_path / name)
    table = read(tmp_path / name, target="y")
    pd.testing.assert_frame_equal(table.frame, read(FRAME, target="y").frame)


def test_a_frame_is_read_by_content_and_not_changed():
    frame = FRAME.set_index(pd.Index(["same"] * N))
    before = frame.copy()
    table = read(frame, target="y")
    pd.testing.assert_frame_equal(frame, before)
    assert table.source == "<DataFrame>"
    assert table.sha256 == read(FRAME, target="y").sha256
    assert table.sha256 != read(FRAME.assign(a=0.5), target="b").sha256


def test_the_digest_is_of_the_file_s_bytes(tmp_path):
    import hashlib

    path = save(tmp_path, "t.csv", CSV)
    assert read(path, target="y").sha256 == hashlib.sha256(CSV.encode()).hexdigest()


@pytest.mark.parametrize("header", ["a,b,y", ",a,b,y"])
def test_row_names_become_an_identifier(tmp_path, header):
    table = read(save(tmp_path, "t.csv", header + "\n" + FRAME.to_csv(header=False)), target="y")
    assert table.columns[0].kind == "id"
    assert table.used == ("a", "b")
    assert [f.code for f in table.findings] == ["id-column"]


def test_thousands_beside_a_decimal_comma(tmp_path):
    rows = "\n".join(f"1.{i:03d},5;{i * 7 % 11},25;w{i % 3}" for i in range(30))
    table = read(save(tmp_path, "t.csv", "a;y;b\n" + rows), target="y")
    assert table.frame["a"].tolist()[:2] == [1000.5, 1001.5]
    assert table.target.tolist()[:2] == [0.25, 7.25]


def test_a_comma_with_three_digits_behind_it_is_a_thousands_sign(tmp_path):
    rows = "\n".join(f"{i + 1},{i:03d};{i * 7 % 11}.5" for i in range(30))
    table = read(save(tmp_path, "t.csv", "a;y\n" + rows), target="y")
    assert table.frame["a"].tolist()[:2] == [1000.0, 2001.0]


def test_repeated_and_empty_names_are_made_unique():
    assert unique_names(["a", "", "a", "a.1", "a"]) == ["a", "Unnamed: 1", "a.2", "a.1", "a.3"]


def test_rows_without_a_target_are_found_and_rows_keep_their_place(tmp_path):
    lines = CSV.splitlines()
    lines[3] = "1.5,zoo,"
    lines[10] = "1.5,zoo,NA"
    table = read(save(tmp_path, "t.csv", "\n".join(lines)), target="y")
    assert len(table) == N - 2
    assert table.n_file_rows == N
    assert sorted(set(range(N)) - set(table.file_rows.tolist())) == [2, 9]
    np.testing.assert_array_equal(table.target, FRAME["y"][table.file_rows])
    (finding,) = table.findings
    assert (finding.code, finding.rows, finding.n_rows) == ("missing-target", (2, 9), 2)
    assert finding.message == "2 rows of 40 without a value of 'y'; left out."


def test_dropped_columns_stay_in_the_frame_unused():
    table = read(FRAME, target="y", drop=["a"])
    assert table.used == ("b",)
    assert "a" in table.frame


BAD: dict[str, tuple[bytes | str, str]] = {
    "empty.csv": ("", "A table needs a header line and rows below it. Received: an empty file"),
    "blank.csv": ("\n \n", "Received: an empty file"),
    "empty.parquet": ("", "Received: an empty file"),
    "header.csv": ("a,b,y\n", "A table needs rows below its header. Received: {path}, which has none."),
    "header_unended.csv": ("a,b,y", "A table needs rows below its header"),
    "three.csv": ("a,b,y\n1,u,2\n2,v,3\n3,u,4\n", "Training needs at least 10 rows"),
    "constant.csv": (FRAME.assign(y=1).to_csv(), "column 'y', which is constant: 1 in all 40 rows"),
    "one_class.csv": (FRAME.assign(y="u").to_csv(), "column 'y' with one class only, 'u', in all 40 rows"),
    "no_target.csv": (FRAME.assign(y="").to_csv(), "column 'y', which is empty in all 40 rows"),
    "few_targets.csv": (
        FRAME.assign(y=FRAME["y"].where(FRAME.index < 4)).to_csv(index=False),
        "Received: 4 rows with a value of 'y' in {path}, which has 40 rows",
    ),
    "infinite.csv": (
        FRAME.assign(y=FRAME["y"].where(FRAME.index != 5, np.inf)).to_csv(index=False),
        "The target must be finite. Received: 1 infinite value in column 'y' (rows 5, counted from 0)",
    ),
    "duplicates.csv": ("a,b,y\n" + "1,u,2\n" * 30, "whose 30 rows are all duplicates of one row"),
    "unusable.csv": (
        FRAME.assign(a=1, b=[f"w{i}" for i in range(N)]).to_csv(index=False),
        "where none beside 'y' is ('a': every value is 1; 'b': 40 different values in 40 rows)",
    ),
    "one_column.csv": ("y\n" + "\n".join(map(str, range(N))), "which has one column, 'y'"),
    "repeated.csv": (CSV.replace("a,b,y", "y,b,y"), "several columns named 'y'"),
    "headless.csv": (BODY, "whose first line looks like data, not names"),
    "title.csv": ("My table\n\n" + CSV, "whose first line has 1 field and whose rows have 3"),
    "long_row.csv": (CSV + "1,2,3,4\n", "line 42: 4 fields where 3 are expected, '1,2,3,4'"),
    "short_row.csv": (CSV + "1,2\n", "line 42: 2 fields where 3 are expected, '1,2'"),
    "open_quote.csv": (CSV + '1,"unclosed,3\n', "Every row must have as many fields as the header"),
    "page.csv": ('<html>\n<a href="x,y">404</a>\n' * 9, "The first line must hold the column names"),
    "nul.csv": (b"a,b,y\n1,\x00,2\n" * 20, "whose bytes are not text"),
    "noise.csv": (np.random.default_rng(0).bytes(5000), "whose bytes are not text"),
    "sheet.csv": (b"PK\x03\x04\x14\x00\x06", "whose bytes are not text"),
    "sheet.xlsx": (b"PK\x03\x04\x14\x00\x06", "whose ending is '.xlsx'. Fix: save the sheet as CSV."),
    "table.json": ("{}", "The data must be CSV, TSV or TXT (also with .gz), Parquet, Feather"),
    "bad.parquet": (b"PAR1xxxx", "which cannot be read as Parquet"),
    "bad.feather": (b"hello", "which cannot be read as Feather"),
    "bad.csv.gz": (b"\x1f\x8bxxxxxxxx", "which is damaged or cut short"),
    "cut.csv.gz": (gzip.compress(CSV.encode())[:-20], "which is damaged or cut short"),
    "dates.csv": (
        FRAME.assign(y=pd.date_range("2020-01-01", periods=N)).to_csv(),
        "column 'y', which holds dates",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_teach(tmp_path, name):
    content, text = BAD[name]
    path = save(tmp_path, name, content)
    with pytest.raises(UsageError) as caught:
        read(path, target="y")
    message = str(caught.value)
    assert text.format(path=path) in message
    assert "Fix: " in message
    assert "\n" not in message
    assert caught.value.exit_code == 2


BAD_CALLS: dict[str, tuple[Callable[[Path], object], str]] = {
    "unknown target": (
        lambda path: read(path, target="Y_"),
        "The target must be a column of the table. Received: 'Y_', which is not in {path}. "
        "Fix: did you mean 'y'?",
    ),
    "near file": (
        lambda path: read(path.with_name("tabel.csv"), target="y"),
        "which does not. Fix: did you mean '{path}'?",
    ),
    "no folder": (
        lambda path: read(path / "x.csv", target="y"),
        "The data file must be readable",
    ),
    "far folder": (lambda path: read(path.parent / "no" / "x.csv", target="y"), "does not exist either"),
    "folder": (
        lambda path: read(path.parent, target="y"),
        "The data must be one file. Received: {folder}, a folder; it holds table.csv. Fix: name "
        "a file in it.",
    ),
    "text as a quantity": (
        lambda path: read(path, target="b", task="regression"),
        "Regression needs a target of numbers. Received: column 'b' with text such as",
    ),
    "a quantity as classes": (
        lambda path: read(path, target="y", task="classification"),
        "The classes of a target must repeat. Received: 40 different values in 40 rows of column 'y'. "
        "Fix: use --task regression for a quantity.",
    ),
    "unknown task": (
        lambda path: read(path, target="y", task="ranking"),
        "The task is one of auto, regression, classification. Received: 'ranking'.",
    ),
    "unknown drop": (
        lambda path: read(path, target="y", drop=["A"]),
        "--drop names a column of the table. Received: 'A', which is not in {path}. Fix: did you mean 'a'?",
    ),
    "target dropped": (
        lambda path: read(path, target="y", drop=["y"]),
        "The target is not a feature to drop",
    ),
    "everything dropped": (
        lambda path: read(path, target="y", drop=["a", "b"]),
        "('a': left out on request; 'b': left out on request)",
    ),
    "a list": (
        lambda _: read([1, 2], target="y"),  # type: ignore[arg-type]
        "A table is a file or a pandas DataFrame. Received: an object of type list.",
    ),
    "levels of names": (
        lambda _: read(pd.concat({"k": FRAME}, axis=1), target="y"),
        "a DataFrame with 2 levels of column names",
    ),
    "no columns": (lambda _: read(pd.DataFrame(), target="y"), "A table needs columns"),
}


@pytest.mark.parametrize("case", BAD_CALLS)
def test_bad_calls_teach(tmp_path, case):
    call, text = BAD_CALLS[case]
    path = save(tmp_path, "table.csv", CSV)
    with pytest.raises(UsageError) as caught:
        call(path)
    assert text.format(path=path, folder=tmp_path) in str(caught.value)


TABLES = {
    "examples/ames.csv": ("Sale_Price", "regression", 2930, ()),
    "tests/tables/concrete.csv": ("compressive_strength", "regression", 1030, ()),
    "tests/tables/bikeshare.csv": ("bikers", "regression", 8645, ()),
    "tests/tables/hitters.csv": ("Salary", "regression", 263, ()),
    "tests/tables/credit_data.csv": ("Status", "classification", 4454, ("bad", "good")),
    "tests/tables/penguins.csv": ("species", "classification", 344, ("Adelie", "Chinstrap", "Gentoo")),
}


@pytest.mark.parametrize("name", TABLES)
def test_real_tables_are_read_whole_without_false_alarms(name):
    target, task, n_rows, classes = TABLES[name]
    table = read(ROOT / name, target=target)
    assert (table.task, len(table), table.classes) == (task, n_rows, classes)
    assert all(column.used for column in table.columns)
    assert table.findings == ()
    if task == "classification":
        raw = pd.read_csv(ROOT / name)[target]
        assert [table.classes[code] for code in table.target] == raw.tolist()


def test_categories_named_none_survive_and_padding_goes():
    table = read(ROOT / "examples/ames.csv", target="Sale_Price")
    raw = pd.read_csv(ROOT / "examples/ames.csv", dtype=str, keep_default_na=False)
    for name in raw.columns[raw.eq("None").any()]:
        np.testing.assert_array_equal(table.frame[name].eq("None"), raw[name].eq("None"))
    assert "WD" in set(table.frame["Sale_Type"])
    assert "WD " not in set(table.frame["Sale_Type"])


@pytest.mark.parametrize(
    "values",
    [
        [True, False] * 20,
        pd.array([1, None] * 20, dtype="Int64"),
        pd.period_range("2020-01", periods=N, freq="M"),
        pd.cut(FRAME["a"], 5),
        [[i % 3] for i in range(N)],
        [{"k": i % 3} for i in range(N)],
        np.array([1, "a", None, True, 2.5] * 8, dtype=object),
        pd.to_timedelta(np.arange(N) ** 2, unit="h"),
        FRAME["a"] * 1j,
        [1e308, -1e308] * 20,
        FRAME["a"].astype("float16"),
        pd.arrays.SparseArray([0.0, 0.0, 1.5, 0.0] * 10),
        FRAME["b"].astype("category"),
    ],
    ids=lambda values: str(getattr(values, "dtype", type(values[0]).__name__)),
)
def test_frames_of_any_dtype_are_read(values):
    table = read(FRAME.assign(b=values), target="y")
    assert len(table) == N
