"""``soundfit study QUESTION DATA --target COL``. Imports nothing heavy before it runs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from soundfit.cli import options as opt
from soundfit.cli.interrupt import asking_to_stop

if TYPE_CHECKING:
    from soundfit.report.words import Words
    from soundfit.study.curve import Curve

__all__ = ["Question", "study_command"]


class Question(StrEnum):
    """What a study answers."""

    capacity = "capacity"
    learning = "learning"
    regularization = "regularization"
    lr = "lr"
    cv = "cv"


_COLUMNS = {
    "capacity": (
        "size",
        "parameters",
        "training",
        "validation",
        "reach",
        "final_validation",
        "vc_lower",
        "random_fit",
        "degrees_of_freedom",
    ),
    "learning": ("rows", "training", "validation", "interval"),
    "regularization": ("weight_decay", "dropout", "training", "validation", "interval"),
    "lr": ("batch_size", "limit", "interval", "lowest_at", "suggested"),
    "cv": ("size", "training", "validation", "interval", "se"),
}


def study_command(
    question: Annotated[
        Question, typer.Argument(metavar="QUESTION", help="What to find out.", show_default=False)
    ],
    data: opt.Data,
    target: opt.Target = "",
    seeds: Annotated[
        int, typer.Option(help="Repeats: initialisations per fold; for cv, draws of folds.")
    ] = 2,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write study-QUESTION.json to.", show_default="none")
    ] = None,
    task: opt.TaskName = "auto",
    drop: opt.Drop = [],  # noqa: B006
    accept: opt.Accept = [],  # noqa: B006
    folds: opt.Folds = "auto",
    test: opt.Test = "0.2",
    group: opt.Group = [],  # noqa: B006
    time: opt.Time = None,
    gap: opt.Gap = "0",
    fold_column: opt.FoldColumn = None,
    stratify: opt.Stratify = None,
    seed: opt.Seed = 0,
    device: opt.Device = "auto",
    budget: opt.Budget = None,
    lang: opt.Lang = "en",
    quiet: opt.Quiet = False,
    json: opt.Json = False,
) -> None:
    """Measure error over capacity, training rows, restraint or learning rate; test rows stay sealed.

    Example:  soundfit study capacity examples/ames.csv --target Sale_Price
    """
    from rich.console import Console

    from soundfit.report.progress import training_progress
    from soundfit.report.words import Words
    from soundfit.study.cross_validation import Hooks
    from soundfit.workflow.folder import write_json_line
    from soundfit.workflow.options import Options, parse_budget
    from soundfit.workflow.study import run_study, write_study

    options = Options(
        target=target,
        task=task,
        folds=folds,
        test=test,
        group=tuple(group),
        time=time,
        gap=gap,
        fold_column=fold_column,
        stratify=stratify,
        drop=tuple(drop),
        accept=tuple(accept),
        seed=seed,
        device=device,
        budget=parse_budget(budget),
    )
    console = Console()
    with (
        training_progress(console, quiet=quiet or json, lang=lang) as progress,
        asking_to_stop(lambda: progress.stage("stopping after this epoch, keeping what is done")) as asked,
    ):
        progress.stage("training")
        hooks = Hooks(progress.total, progress.advance, asked)
        curve = run_study(question.value, data, options, seeds=seeds, hooks=hooks)
    if out is not None:
        write_study(curve, out)
    if json:
        write_json_line(curve.to_dict())
    elif not quiet:
        _print(curve, console, Words(lang))
    if asked():
        raise typer.Exit(3)


def _head(column: str, _: Words) -> str:
    heads = {
        "size": _("size"),
        "parameters": _("parameters"),
        "training": _("training"),
        "validation": _("validation"),
        "rows": _("rows"),
        "interval": _("95 % interval"),
        "final_validation": _("at the end"),
        "reach": "±",
        "vc_lower": "VC ≥",
        "random_fit": _("fits noise"),
        "degrees_of_freedom": _("d.o.f."),
        "weight_decay": _("weight decay"),
        "dropout": _("dropout"),
        "batch_size": _("batch size"),
        "limit": _("stable up to"),
        "lowest_at": _("lowest loss at"),
        "suggested": _("suggested"),
        "se": "SE",
    }
    return heads.get(column, column.replace("_", " "))


def _title(curve: Curve, _: Words) -> str:
    from soundfit.report.metric_words import metric_words

    titles = {
        "capacity": _("capacity"),
        "learning": _("learning"),
        "regularization": _("regularization"),
        "lr": _("learning rate"),
        "cv": _("cross-validation"),
    }
    metric = metric_words(curve.metric, _, greater_is_better=curve.greater_is_better)
    return f"{titles.get(curve.question, curve.question)}: {metric.label}"


def _print(curve: Curve, console: Any, _: Words) -> None:
    from rich.table import Table

    from soundfit.records.said import retell

    table = Table(title=_title(curve, _), title_justify="left")
    made = ("interval", "reach", "size")
    columns = [c for c in _COLUMNS[curve.question] if c in made or any(c in p for p in curve.points)]
    for column in columns:
        table.add_column(_head(column, _), justify="right")
    for point in curve.points:
        style = "bold" if point.get("chosen") else ""
        table.add_row(*(_cell(point, column, _) for column in columns), style=style)
    console.print(table)
    console.print(retell(curve.sentence, {}, _))
    if curve.question == "capacity":
        legend = _(
            "at the end: without early stopping. VC ≥: points that some weights of this shape could label at "
            "will (Bartlett et al. 2019; a linear model d + 1). fits noise, d.o.f.: share of random targets "
            "fitted on some of the rows, and the effective number of parameters that this takes. None of "
            "them says how a size does on this table; the validation column does."
        )
        console.print(legend, style="dim")


def _cell(point: Any, column: str, _: Words) -> str:
    if column == "interval":
        low, high = point.get("low"), point.get("high")
        return "" if low is None or high is None else f"{low:.4g} – {high:.4g}"
    if column == "size":
        return f"{point['depth']} × {point['width']}" if point["depth"] else _("linear")
    if column == "reach":
        low, high = point.get("low"), point.get("high")
        return "" if low is None or high is None else f"{(high - low) / 2:.2g}"
    value = point.get(column)
    if value is None:
        return ""
    if column == "random_fit":
        return f"{100 * value:.0f} %"
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return f"{value:,}"
    if column in ("vc_lower", "degrees_of_freedom"):
        return f"{value:,.0f}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
