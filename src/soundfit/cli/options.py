"""The options that train, audit and study share, declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

__all__ = [
    "Accept",
    "Backbone",
    "Budget",
    "Data",
    "Device",
    "Drop",
    "FoldColumn",
    "Folds",
    "Gap",
    "Group",
    "ImageSize",
    "Json",
    "Lang",
    "Quiet",
    "Run",
    "Seed",
    "Sequence",
    "Stratify",
    "Target",
    "TaskName",
    "Test",
    "Time",
    "Weights",
]

_SPLIT = "How rows are split"
_DATA = "What is read"

Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="Table file (CSV, TSV, Parquet, Feather), folder of pictures, idx or npz file.",
        show_default=False,
    ),
]
Run = Annotated[Path, typer.Argument(metavar="RUN", help="Run folder.", show_default=False)]
Target = Annotated[
    str,
    typer.Option(
        help="Column to predict; a folder of pictures needs none: its sub-folders are the classes.",
        show_default=False,
    ),
]
ImageSize = Annotated[
    int | None,
    typer.Option(
        help="Longer side in pixels that pictures are scaled to.",
        show_default="from the pictures",
        rich_help_panel=_DATA,
    ),
]
Backbone = Annotated[
    str,
    typer.Option(
        help="timm:NAME, a pretrained net for pictures (soundfit\\[vision]); none; auto: one that lies on "
        "this machine, where pictures are few.",
        rich_help_panel=_DATA,
    ),
]
Weights = Annotated[
    str | None,
    typer.Option(
        help="File of the backbone's weights.",
        show_default="from this machine's caches",
        rich_help_panel=_DATA,
    ),
]
Sequence = Annotated[
    str,
    typer.Option(
        help="Column of arrays, one sequence a row; or with --time the column that says whose step a row is.",
        show_default=False,
        rich_help_panel=_DATA,
    ),
]
TaskName = Annotated[
    str, typer.Option("--task", help="auto, regression or classification.", rich_help_panel=_DATA)
]
Drop = Annotated[
    list[str], typer.Option(help="Column that models must not read (repeatable).", rich_help_panel=_DATA)
]
Folds = Annotated[
    str,
    typer.Option(
        help="Number of folds, holdout, or auto: 10 below 1,000 training rows, 5 below 20,000, "
        "one holdout above.",
        rich_help_panel=_SPLIT,
    ),
]
Test = Annotated[
    str,
    typer.Option(help="Fraction of rows to seal for the exam, or a file with them.", rich_help_panel=_SPLIT),
]
Group = Annotated[
    list[str],
    typer.Option(
        help="Rows with equal values here belong together and stay on one side of each split "
        "(repeatable: equal in all of them).",
        rich_help_panel=_SPLIT,
    ),
]
Time = Annotated[
    str | None,
    typer.Option(
        help="Column in whose order rows are split: train on the past, test on the future. "
        "'row' is the file's order.",
        rich_help_panel=_SPLIT,
    ),
]
Gap = Annotated[
    str,
    typer.Option(
        help="With --time: times, or a span such as 7d, left out between training and later rows.",
        rich_help_panel=_SPLIT,
    ),
]
FoldColumn = Annotated[
    str | None,
    typer.Option(
        help="Column that says each row's fold (or train, validation, test).", rich_help_panel=_SPLIT
    ),
]
Stratify = Annotated[
    bool | None,
    typer.Option(
        "--stratify/--no-stratify",
        help="Keep the target's distribution in each fold.",
        rich_help_panel=_SPLIT,
        show_default="where it makes sense",
    ),
]
Accept = Annotated[
    list[str],
    typer.Option(help="Code of an error finding to train in spite of (repeatable).", rich_help_panel=_DATA),
]
Seed = Annotated[int, typer.Option(help="Seed of everything that is drawn.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Budget = Annotated[
    str | None,
    typer.Option(help="Time to train for, such as 90s, 5m or 1h.", show_default="as long as it takes"),
]
Lang = Annotated[
    Literal["en", "zh"],
    typer.Option(help="Language of help, messages and reports.", envvar="SOUNDFIT_LANG"),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
