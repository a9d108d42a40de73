"""The HTML report of a run: one self-contained file. Reads a run folder; trains and scores nothing."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import jinja2
import pandas as pd
from markupsafe import Markup

from soundfit.report.configurations import chosen_model, configurations, model_name
from soundfit.report.figures.calibration import calibration_figure
from soundfit.report.figures.capacity import capacity_figure
from soundfit.report.figures.effects import effect_figures
from soundfit.report.figures.epochs import epochs_figure
from soundfit.report.figures.figure import Figure
from soundfit.report.figures.folds import folds_figure
from soundfit.report.figures.importance import importance_figure
from soundfit.report.figures.learning import learning_figure
from soundfit.report.figures.memory import memory_figure
from soundfit.report.figures.predicted import predicted_figure
from soundfit.report.figures.regularisation import regularisation_figures
from soundfit.report.figures.split import split_figure
from soundfit.report.figures.stability import stability_figure
from soundfit.report.metric_words import MetricWords
from soundfit.report.mistakes import confusion, worst_rows
from soundfit.report.numbers import count, duration, finite, significant
from soundfit.report.pictures import picture_parts
from soundfit.report.run_view import RunView, read_run, whole_records
from soundfit.report.scoreboard import ScoreLine, others, score_lines, score_metric, score_remarks
from soundfit.report.split_words import split_words
from soundfit.report.verdict_words import (
    final_line,
    next_steps,
    tried_lines,
    verdict_title,
    verdict_tone,
)
from soundfit.report.words import Words

__all__ = ["environment", "render_report", "write_page", "write_report"]

MOST_CONFIGURATIONS = 200

T = TypeVar("T")


def write_report(run_dir: Path, *, lang: str = "en", name: str = "") -> Path:
    """Write ``report.html`` into a run folder and return its path.

    Whatever a run lacks (an interrupted one, an older one) is left out.

    Args:
        run_dir: the run folder.
        lang: the page's language.
        name: what the folder will be called, where it is still written aside.

    Raises:
        UsageError: the folder has no readable ``run.json``, or a damaged one.
    """
    folder = Path(run_dir)
    view = read_run(folder, name=name)
    with whole_records(folder):
        page = render_report(view, lang=lang)
    return write_page(folder / "report.html", page)


def write_page(path: Path, page: str) -> Path:
    """Write a page whole or not at all."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(page)
        Path(name).chmod(0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return path


def render_report(view: RunView, *, lang: str = "en") -> str:
    """Return the report of a run as HTML."""
    _ = Words(lang)
    view = view.retold(_)
    metric = score_metric(view, _)
    table = configurations(view, greater_is_better=metric.greater_is_better)
    failures: list[str] = []

    def attempt(name: str, make: Callable[[], T]) -> T | None:
        # A picture is never worth a trained run: its error is shown on the page instead of raised.
        try:
            return make()
        except Exception as error:
            failures.append(f"{name}: {type(error).__name__}: {error}")
            return None

    first = [
        attempt("capacity", lambda: capacity_figure(view, table, metric, _)),
        attempt("epochs", lambda: epochs_figure(view, _)),
        attempt("learning", lambda: learning_figure(view, metric, _)),
    ]
    figures = {
        "first": [figure for figure in first if figure],
        "split": attempt("split", lambda: split_figure(view, _)),
        "folds": attempt("folds", lambda: folds_figure(view, table, metric, _)),
        "paths": attempt("regularisation", lambda: regularisation_figures(view, table, metric, _)) or [],
        "predicted": attempt("predicted", lambda: predicted_figure(view, _)),
        "calibration": attempt("calibration", lambda: calibration_figure(view, _)),
        "importance": attempt("importance", lambda: importance_figure(view, _)),
        "effects": attempt("effects", lambda: effect_figures(view, _)) or [],
        "memory": attempt("memory", lambda: memory_figure(view, metric, _)),
        "stability": attempt("stability", lambda: stability_figure(view, _)),
    }
    lines = score_lines(view, _)
    code = str(view.get("verdict", "code", default=""))
    return (
        environment(lang)
        .get_template("report.html.j2")
        .render(
            view=view,
            chosen_model=chosen_model(view, _),
            metric=metric,
            figures=figures,
            drawn=_drawn(figures),
            scores=[(line, bar(line, lines, metric)) for line in lines],
            split=split_words(str(view.get("split", "kind", default="")), _),
            remarks=score_remarks(view, _),
            others=others(view, _),
            verdict={
                "title": verdict_title(code, _),
                "tone": verdict_tone(code),
                "text": view.get("verdict", "text"),
            },
            doubts=[
                f.get("code", "") for f in view.points("audit", "findings") if f.get("severity") == "error"
            ],
            steps=next_steps(view, _),
            findings=_by_severity(view),
            shown_findings=_n_shown(_by_severity(view)),
            tried=_tried(table, metric, _),
            tried_lines=tried_lines(view, _),
            final_line=final_line(view, _),
            n_tried=len(table),
            picture_parts=attempt("pictures", lambda: picture_parts(view, _)) or [],
            confusion=attempt("confusion", lambda: confusion(view, _)),
            worst=attempt("worst rows", lambda: worst_rows(view, _)),
            facts=_provenance(view, _),
            failures=failures,
        )
    )


@cache
def environment(lang: str) -> jinja2.Environment:
    """Return the template environment: everything is escaped; ``asset`` inlines a file of this package."""
    package = files("soundfit.report")

    @cache
    def asset(name: str) -> Markup:
        return Markup((package / name).read_text(encoding="utf-8"))

    def as_json(value: Any) -> Markup:
        # In a script element only "<" can end it or open a comment; inside JSON it may be escaped.
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        for character in "<>&\u2028\u2029":
            text = text.replace(character, f"\\u{ord(character):04x}")
        return Markup(text)

    made = jinja2.Environment(
        loader=jinja2.PackageLoader("soundfit.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(_=Words(lang), asset=asset, as_json=as_json)
    made.filters.update(count=count, duration=duration, significant=significant)
    return made


def bar(line: ScoreLine, lines: list[ScoreLine], metric: MetricWords) -> dict[str, float] | None:
    """Return where a score's bar ends and its interval lies, in per cent of the widest."""
    known = [v for each in lines for v in (each.value, each.high) if v is not None]
    top = 1.0 if metric.greater_is_better else max(known, default=0.0)
    if line.value is None or top <= 0:
        return None

    def place(value: float) -> float:
        return round(100 * min(max(value / top, 0.0), 1.0), 2)

    found = {"at": place(line.value)}
    if line.low is not None and line.high is not None:
        found |= {"low": place(line.low), "width": round(place(line.high) - place(line.low), 2)}
    return found


def _drawn(figures: dict[str, Any]) -> dict[str, Any]:
    """Return what the script draws, by the id of the figure."""
    flat: list[Figure] = []
    for found in figures.values():
        flat += found if isinstance(found, list) else [found] if found else []
    return {
        figure.id: {
            "kind": figure.kind,
            "label": figure.title,
            "sentence": figure.sentence,
            "data": figure.data,
        }
        for figure in flat
    }


def _by_severity(view: RunView) -> list[dict[str, Any]]:
    order = {"error": 0, "warning": 1, "note": 2}
    found = [dict(finding) for finding in view.points("audit", "findings")]
    return sorted(found, key=lambda finding: order.get(str(finding.get("severity")), 3))


def _n_shown(findings: list[dict[str, Any]]) -> int:
    """Return how many findings are in plain view: all errors and warnings, a few notes."""
    pressing = sum(finding.get("severity") in ("error", "warning") for finding in findings)
    return max(pressing + 3, 6)


def _tried(table: pd.DataFrame, metric: MetricWords, _: Words) -> list[dict[str, Any]]:
    """Return the lines of the table of configurations: for each cell the text and the number to sort by."""
    shown = table.head(MOST_CONFIGURATIONS)
    if "chosen" in table and not shown.empty and not shown["chosen"].any():
        shown = pd.concat([shown, table[table["chosen"]]])
    # One number of digits down the whole column, whatever the spread of single lines.
    spread = finite(shown["se"].median()) if len(shown) else None
    lines = []
    for line in shown.to_dict("records"):
        cells: dict[str, Any] = {
            "chosen": bool(line["chosen"]),
            "near": bool(line["near"]),
            "solved": bool(line["solved"]),
            "failed": line["failed"],
            "cut": line["cut"],
        }
        for name in ("model", "width", "depth", "dropout", "weight_decay", "learning_rate", "parameters"):
            if name in table.columns:
                value = line[name]
                number = finite(value)
                text = significant(value, 2)
                if name == "model":
                    text = model_name(str(value), _("backbone") if line.get("backbone") else "", _)
                if name in ("width", "depth", "parameters"):
                    text = count(value) if number else "–"
                if line["solved"] and name in ("width", "dropout", "weight_decay", "learning_rate"):
                    text = "∞" if name == "width" else "–"
                cells[name] = {"text": text, "sort": number if number is not None else str(value)}
        epochs = "–" if line["solved"] else significant(line["best_epoch"], 3)
        cells["epochs"] = {"text": epochs, "sort": finite(line["best_epoch"])}
        cells["training"] = {"text": metric.show(line["training"], spread), "sort": finite(line["training"])}
        cells["validation"] = {
            "text": metric.show_spread(line["validation"], line["se"], like=spread),
            "sort": finite(line["validation"]),
        }
        lines.append(cells)
    return lines


def _provenance(view: RunView, _: Words) -> list[tuple[str, str]]:
    """Return what is needed to get the same numbers again."""
    rows = [
        (_("Created"), view.get("created")),
        (_("Took"), duration(view.get("seconds")) if view.get("seconds") is not None else None),
        (_("Data"), view.get("data", "path")),
        (_("SHA-256 of the data"), view.get("data", "sha256")),
        (_("Seed"), view.get("split", "seed")),
        (_("soundfit"), view.get("soundfit")),
        (_("Versions"), _listed(view.get("versions"), _)),
        (_("Hardware"), _listed(view.get("hardware"), _)),
    ]
    return [(name, str(value)) for name, value in rows if value not in (None, "")]


def _listed(facts: Any, _: Words) -> str:
    if not isinstance(facts, dict):
        return "" if facts is None else str(facts)
    return _(", ").join(
        f"{_plain(str(name), _)} {significant(value) if isinstance(value, float) else value}"
        for name, value in facts.items()
        if value not in (None, "")
    )


def _plain(name: str, _: Words) -> str:
    """Return the name of a fact with its unit as people write it."""
    names = {
        "processor": _("processor"),
        "cores": _("cores"),
        "memory_gib": _("memory (GiB)"),
        "threads": _("threads"),
        "device": _("device"),
    }
    return names.get(name, name)
