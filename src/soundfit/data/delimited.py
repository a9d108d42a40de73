"""Delimited text: bytes of a CSV-like file into a frame. Knows no target and no column kinds."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass

import pandas as pd
import pyarrow as pa
import pyarrow.csv

from soundfit.data.values import MISSING, to_text
from soundfit.errors import DataError
from soundfit.records.said import say

__all__ = ["delimited_head", "parse_delimited"]

_SAMPLE = 262_144
_DELIMITERS = (",", ";", "\t", "|")
_BOMS = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
_DECIMAL_COMMA = re.compile(r"^[-+]?(\d{1,3}(\.\d{3})+|\d*),\d+([eE][-+]?\d+)?$")
_PLAIN_NUMBER = re.compile(r"^[-+]?\d+([eE][-+]?\d+)?$")


@dataclass(frozen=True)
class _Head:
    """The file's head: its column names and how to read what follows."""

    names: tuple[str, ...]
    delimiter: str
    n_lines: int
    extra: str = ""  # "first" or "last" where every row has one field more than the header


def parse_delimited(content: bytes, *, source: str) -> pd.DataFrame:
    """Parse the bytes of a delimited file; encoding, delimiter and decimal sign are found in the bytes.

    Numbers, ISO dates and true/false get their types; everything else is text as it stands. Names
    are stripped; they may be empty or repeated.

    Args:
        content: the file's bytes, uncompressed.
        source: what errors call the file.

    Raises:
        DataError: empty, binary or ragged file.
    """
    text = _as_utf8(content, source).lstrip(b"\r\n \t")
    if not text:
        raise _empty(source)
    if b"\n" not in text and b"\r" in text:
        text = text.replace(b"\r", b"\n")
    text = _without_comments(text)
    sample = _sample(text)
    head = _find_head(sample, source)
    if head.delimiter == " ":
        text = _commas_for_blanks(text)
        head = _find_head(_sample(text), source)
    return _parse(text, head, source)


def delimited_head(content: bytes, *, source: str) -> tuple[tuple[str, ...], str, int] | None:
    """Return names, delimiter and lines of the head of a file that can be read piece by piece.

    None where a piece alone does not tell how to read the rest: comments, blanks as delimiter, a field more
    than names, semicolons (decimal commas), other encodings.

    Args:
        content: the file's first bytes.
        source: what errors call the file.
    """
    text = content.removeprefix(b"\xef\xbb\xbf")
    try:
        text[: text.rfind(b"\n")].decode()
    except UnicodeDecodeError:
        return None
    if b"\n" not in text or text.lstrip(b"\r\n \t") != text or _without_comments(text) != text:
        return None
    head = _find_head(_sample(text), source)
    if head.delimiter not in (",", "\t", "|") or head.extra:
        return None
    return tuple(name.strip() for name in head.names), head.delimiter, head.n_lines


def _as_utf8(content: bytes, source: str) -> bytes:
    for mark, encoding in _BOMS:
        if content.startswith(mark):
            body = content[len(mark) :]
            if encoding == "utf-8":
                return _checked(body, source)
            try:
                return body.decode(encoding).encode()
            except UnicodeDecodeError:
                raise _binary(source) from None
    return _checked(content, source)


def _checked(content: bytes, source: str) -> bytes:
    """Return the bytes as UTF-8; raise for bytes that are no text in any common encoding."""
    head = content[:65536]
    if b"\x00" in head:
        for encoding, zeros in (("utf-16-le", head[1::2]), ("utf-16-be", head[::2])):
            if zeros.count(0) > 0.8 * len(zeros):
                try:
                    return content.decode(encoding).encode()
                except UnicodeDecodeError:
                    continue
        raise _binary(source)
    control = sum(head.count(byte) for byte in (*range(1, 9), *range(14, 27), *range(28, 32)))
    if control > 0.01 * len(head) or head.startswith((b"PK\x03\x04", b"%PDF", b"\x89HDF")):
        raise _binary(source)
    for encoding in ("utf-8", "cp1252"):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        return content if encoding == "utf-8" else text.encode()
    return content.decode("latin-1").encode()


def _binary(source: str) -> DataError:
    return DataError(
        "A table file must be text (CSV, TSV), Parquet or Feather",
        received=say("{source}, whose bytes are not text", source=source),
        fix="export the table as CSV in UTF-8, or give the file its format's ending (.parquet, .feather)",
    )


def _sample(text: bytes) -> str:
    """Return the first lines."""
    cut = len(text) if len(text) <= _SAMPLE else text.rfind(b"\n", 0, _SAMPLE)
    return text[: cut if cut > 0 else _SAMPLE].decode("utf-8", errors="replace")


def _without_comments(text: bytes) -> bytes:
    """Return the text without leading lines that start with # and are no header."""
    while text.startswith(b"#"):
        line, _, rest = text.partition(b"\n")
        below = rest.partition(b"\n")[0]
        if not rest or any(line.count(d) == below.count(d) > 0 for d in (b",", b";", b"\t", b"|")):
            break
        text = rest
    return text


def _rows(sample: str, delimiter: str, limit: int = 200) -> list[tuple[list[str], int]]:
    """Return (fields, lines read so far) of the first records that are not blank."""
    rows: list[tuple[list[str], int]] = []
    reader = csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter)
    try:
        for fields in reader:
            if fields:
                rows.append((fields, reader.line_num))
            if len(rows) == limit:
                break
    except csv.Error:
        pass
    return rows


def _find_head(sample: str, source: str) -> _Head:
    skipped = 0
    declared = re.match(r"sep=(.)\r?\n", sample)
    delimiters: tuple[str, ...] = _DELIMITERS
    if declared:
        sample, skipped, delimiters = sample[declared.end() :], 1, (declared[1],)
    best: tuple[float, int] = (0.0, 0)
    found: tuple[str, list[tuple[list[str], int]]] | None = None
    for delimiter in delimiters:
        rows = _rows(sample, delimiter)
        width = len(rows[0][0]) if rows else 0
        if width < 2:
            continue
        body = [len(fields) for fields, _ in rows[1:]]
        agree = sum(n in (width, width + 1) for n in body) / len(body) if body else 1.0
        if (score := (round(agree, 1), width)) > best:
            best, found = score, (delimiter, rows)
    if found is None:
        lines = sample.splitlines()
        widths = {len(line.split()) for line in lines[:200] if line.strip()}
        if len(widths) == 1 and widths != {1} and '"' not in sample:
            return _Head((), " ", 0)
        found = (",", _rows(sample, ","))
    delimiter, rows = found
    if not rows:
        raise DataError(
            "A table needs a header line",
            received=say("{source}, which has none", source=source),
            fix="add one",
        )
    names, n_lines = rows[0]
    body_rows = [fields for fields, _ in rows[1:]]
    extra = ""
    if body_rows and all(len(fields) == len(names) + 1 for fields in body_rows):
        extra = "last" if all(not fields[-1].strip() for fields in body_rows) else "first"
    return _Head(tuple(names), delimiter, n_lines + skipped, extra)


def _commas_for_blanks(text: bytes) -> bytes:
    lines = (line.strip() for line in text.decode().splitlines())
    return "\n".join(re.sub(r"\s+", ",", line.replace(",", ".")) for line in lines).encode()


def _parse(text: bytes, head: _Head, source: str) -> pd.DataFrame:
    names = list(head.names)
    if head.extra == "first":
        names = ["row_names", *names]
    elif head.extra == "last":
        names = [*names, ""]
    ragged: list[pa.csv.InvalidRow] = []

    def keep_ragged(row: pa.csv.InvalidRow) -> str:
        ragged.append(row)
        return "skip"

    places = [f"c{i}" for i in range(len(names))]
    try:
        table = pa.csv.read_csv(
            pa.BufferReader(text),
            # One block: types are inferred from all rows, not from the first ones.
            read_options=pa.csv.ReadOptions(
                column_names=places, skip_rows=head.n_lines, block_size=min(len(text) + 1, 2**31 - 1)
            ),
            parse_options=pa.csv.ParseOptions(
                delimiter=head.delimiter, newlines_in_values=True, invalid_row_handler=keep_ragged
            ),
            convert_options=pa.csv.ConvertOptions(
                null_values=sorted(MISSING),
                strings_can_be_null=True,
                true_values=["true", "True", "TRUE"],
                false_values=["false", "False", "FALSE"],
            ),
        )
    except pa.ArrowInvalid as error:
        if "Empty CSV" in str(error) or "Could not skip initial" in str(error):
            return pd.DataFrame(columns=names, dtype=object)
        raise DataError(
            "A delimited file must have the same fields in every row",
            received=f"{source}: {str(error).splitlines()[0]}",
            fix="check quotes and delimiters near that place",
        ) from None
    if ragged:
        raise _ragged(ragged, head, source, text)
    fields = [
        pa.field(f.name, pa.string()) if pa.types.is_time(f.type) or pa.types.is_binary(f.type) else f
        for f in table.schema
    ]
    frame = table.cast(pa.schema(fields)).to_pandas(date_as_object=False)
    # A delimiter at the end of every line makes a column without a name and without a value.
    kept = [i for i, name in enumerate(names) if name.strip() or not frame[places[i]].isna().all()]
    if not kept:
        raise _empty(source)
    frame = _decimal_commas(frame.iloc[:, kept], head.delimiter)
    frame.columns = pd.Index([names[i].strip() for i in kept], dtype=object)
    return frame


def _empty(source: str) -> DataError:
    return DataError(
        "A table needs a header line and rows below it",
        received=say("an empty file, {source}", source=source),
        fix="check how the file was written; it holds nothing",
    )


def _ragged(ragged: list[pa.csv.InvalidRow], head: _Head, source: str, text: bytes) -> DataError:
    first = ragged[0]
    if first.expected_columns == 1 or len(ragged) > 0.5 * text.count(b"\n"):
        return DataError(
            "The first line must hold the column names, with the delimiter between them",
            received=say(
                "{source}, whose first line has {fields} and whose rows have {actual_columns}",
                source=source,
                fields=_fields(first.expected_columns),
                actual_columns=first.actual_columns,
            ),
            fix="remove lines above the column names; comma, semicolon, tab and | are known delimiters",
        )
    shown = first.text if len(first.text) <= 60 else first.text[:59] + "…"
    where = text.find(first.text.encode())
    n_before = text.count(b"\n", 0, where) if where >= 0 else -1
    line = say("line {n}", n=n_before + 1) if where >= 0 else say("one line")
    more = say(" ({n:,} such rows)", n=len(ragged)) if len(ragged) > 1 else ""
    return DataError(
        "Every row must have as many fields as the header",
        received=say(
            "{source}, {line}: {fields} where {expected_columns} are expected, {shown!r}{more}",
            source=source,
            line=line,
            fields=_fields(first.actual_columns),
            expected_columns=first.expected_columns,
            shown=shown,
            more=more,
        ),
        fix=say(
            "put quotes around text that holds the delimiter {delimiter!r}, or complete the row",
            delimiter=head.delimiter,
        ),
    )


def _fields(n: int) -> str:
    return f"{n} field" if n == 1 else f"{n} fields"


def _decimal_commas(frame: pd.DataFrame, delimiter: str) -> pd.DataFrame:
    """Read "1.234,5" as 1234.5 in columns where every value is such a number.

    Only where the comma is not the delimiter, and where some number in the file shows that its comma
    is no thousands sign (not exactly three digits behind it).
    """
    if delimiter == ",":
        return frame
    candidates: dict[str, pd.Series] = {}
    proven = False
    for name in frame.columns:
        if frame[name].dtype.kind in "biufM" or frame[name].isna().all():
            continue
        texts = to_text(frame[name])
        distinct = [t for t in texts.dropna().unique() if t not in ("?", "-", ".")]
        commas = [t for t in distinct if _DECIMAL_COMMA.match(t)]
        if commas and all(_DECIMAL_COMMA.match(t) or _PLAIN_NUMBER.match(t) for t in distinct):
            candidates[name] = texts
            proven = proven or any(len(re.split("[,eE]", t)[1]) != 3 or "." in t for t in commas)
    if not proven:
        return frame
    numbers = {
        name: pd.to_numeric(
            texts.str.replace(".", "", regex=False).str.replace(",", ".", regex=False), errors="coerce"
        )
        for name, texts in candidates.items()
    }
    return frame.assign(**numbers)
