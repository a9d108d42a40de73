"""The terminal's summary of a run and list of findings. Reads a record; trains and scores nothing.

No boxes and few colours: it reads the same in a log file, at 80 columns and on a dark screen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from soundfit.records.finding import Finding
from soundfit.records.said import retell
from soundfit.report.configurations import chosen_model
from soundfit.report.figures.importance import importance_line
from soundfit.report.numbers import count, duration, finite, significant
from soundfit.report.run_view import RunView, view_of
from soundfit.report.scoreboard import ScoreLine, others, score_lines, score_metric, score_remarks
from soundfit.report.verdict_words import (
    Step,
    final_line,
    next_steps,
    tried_lines,
    verdict_title,
    verdict_tone,
)
from soundfit.report.words import Words

__all__ = ["print_findings", "print_summary"]

TONES = {"good": "bold green", "mild": "bold cyan", "warn": "bold yellow", "bad": "bold red"}
SEVERITIES = {"error": "bold red", "warning": "yellow", "note": "cyan"}
BAR_WIDTH = 16
MOST_WIDTH = 100
MOST_FINDINGS = 4
MOST_OTHERS = 3
INDENT = 2


def print_summary(
    run: Mapping[str, Any], console: Console, *, path: Path | None = None, lang: str = "en"
) -> None:
    """Print what a finished run came to.

    Args:
        run: the record, as in ``run.json``; whatever is missing is left out.
        console: where to; its width and colours are respected.
        path: the run folder, where the HTML report lies.
        lang: language of the words.
    """
    _ = Words(lang)
    view = view_of(run, Path() if path is None else Path(path)).retold(_)
    width = min(console.width, MOST_WIDTH)
    parts: list[RenderableType] = [
        _verdict(view, _),
        _scores(view, _, width),
        *_remarks(view, _),
        *_chosen(view, _),
        *_important(view, _),
        *_tried(view, _),
        *_worst_findings(view, _),
        *_steps(next_steps(view, _), path, _),
    ]
    for part in parts:
        console.print()
        console.print(
            Padding(part, (0, 0, 0, INDENT), expand=False), width=width, highlight=False, markup=False
        )
    console.print()


def print_findings(
    findings: Iterable[Finding | Mapping[str, Any]], console: Console, *, lang: str = "en"
) -> None:
    """Print all findings of an audit, worst first, each with its fix."""
    _ = Words(lang)
    lines = _sorted([_retold(f, _) for f in findings])
    width = min(console.width, MOST_WIDTH)
    if not lines:
        console.print()
        console.print(Text("  " + _("The audit found nothing to report."), style="green"))
        console.print()
        return
    console.print()
    console.print(
        Padding(Text(_counts(lines, _), style="bold"), (0, 0, 0, INDENT), expand=False), highlight=False
    )
    for finding in lines:
        console.print()
        console.print(
            Padding(_finding(finding, _), (0, 0, 0, INDENT), expand=False), width=width, highlight=False
        )
    console.print()


def _verdict(view: RunView, _: Words) -> Text:
    code = str(view.get("verdict", "code", default=""))
    title, said = verdict_title(code, _), str(view.get("verdict", "text", default="")).strip()
    line = Text(title, style=TONES[verdict_tone(code)])
    if said:
        # The sentence may open with the verdict's own name: it is not said twice.
        rest = (
            said[len(title) :].lstrip(" :：.,。–—-") if said.casefold().startswith(title.casefold()) else said
        )
        line.append(f"  {rest[:1].upper()}{rest[1:]}", style="not bold default")
    doubts = [
        str(f.get("code", "")) for f in view.points("audit", "findings") if f.get("severity") == "error"
    ]
    if doubts:
        line.append(
            "\n" + _("Do not trust the score yet: {codes}.").format(codes=", ".join(doubts)), style="bold red"
        )
    return line


def _scores(view: RunView, _: Words, width: int) -> Group:
    metric = score_metric(view, _)
    lines = score_lines(view, _)
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    has_bars = width >= 78
    if has_bars:
        table.add_column(no_wrap=True, width=BAR_WIDTH)
    known = [line.value for line in lines if line.value is not None]
    top = 1.0 if metric.greater_is_better else max(known, default=0.0)
    for line in lines:
        style = "bold" if line.kind in ("exam", "sealed") else ""
        cells = [Text(line.name, style), Text(line.shown, style), Text(line.interval or line.note, "dim")]
        table.add_row(*cells, *([_bar(line, top)] if has_bars else []))
    direction = _("higher is better") if metric.greater_is_better else _("lower is better")
    return Group(Text(f"{metric.label} ({direction})", style="dim"), table)


def _bar(line: ScoreLine, top: float) -> Text:
    if line.value is None or top <= 0:
        return Text("")
    filled = round(min(max(line.value / top, 0.0), 1.0) * BAR_WIDTH)
    colour = {"exam": "green", "cv": "yellow"}.get(line.kind, "bright_black")
    return Text("━" * max(filled, 1), style=colour)


def _remarks(view: RunView, _: Words) -> list[Text]:
    said = score_remarks(view, _)
    openings = finite(view.get("exam", "openings"))
    if openings == 1:
        said.append(_("The test rows were opened for the first time."))
    also = others(view, _)[:MOST_OTHERS]
    if also:
        listed = _(", ").join(f"{label} {shown}" for label, shown in also)
        said.append(_("Also in the exam: {list}.").format(list=listed))
    return [Text(_.sentences(said))] if said else []


def _chosen(view: RunView, _: Words) -> list[Text]:
    if not view.get("chosen"):
        return []
    shape = chosen_model(view, _)
    if finite(view.get("chosen", "width")) and finite(view.get("chosen", "depth")):
        shape += f" {count(view.get('chosen', 'width'))} × {count(view.get('chosen', 'depth'))}"
    line = Text(_("Chosen") + "  ", style="bold")
    line.append(shape, style="not bold")
    names = {
        "dropout": _("dropout"),
        "weight_decay": _("weight decay"),
        "learning_rate": _("learning rate"),
        "parameters": _("parameters"),
    }
    for name, label in names.items():
        value = view.get("chosen", name)
        if value is not None:
            shown = f"{count(value)} {label}" if name == "parameters" else f"{label} {significant(value, 2)}"
            line.append(_(", ") + shown, style="not bold")
    tried = finite(view.get("study", "configurations"))
    members = finite(view.get("study", "members"))
    if tried and members:
        line.append(
            "\n"
            + _("of {tried} configurations, {members} models trained").format(
                tried=count(tried), members=count(members)
            ),
            style="dim not bold",
        )
        if finite(view.get("seconds")):
            took = _(" in {time}").format(time=duration(view.get("seconds")))
            line.append(took, style="dim not bold")
    final = final_line(view, _)
    for said in (final, str(view.get("data", "backbone", "beside", "text", default=""))):
        if said:
            line.append("\n" + said, style="not bold")
    return [line]


def _important(view: RunView, _: Words) -> list[Text]:
    line = importance_line(view, _)
    return [Text(line)] if line else []


def _retold(finding: Finding | Mapping[str, Any], _: Words) -> Mapping[str, Any]:
    record = finding.to_dict() if isinstance(finding, Finding) else finding
    return {**record, **{name: retell(record.get(name) or "", {}, _) for name in ("message", "fix")}}


def _tried(view: RunView, _: Words) -> list[Group]:
    lines = tried_lines(view, _)
    if not lines:
        return []
    title = Text(_("Tried in this training (validation before → after)"), style="bold")
    return [Group(title, *(Text(line, style="not bold") for line in lines))]


def _sorted(findings: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    order = list(SEVERITIES)
    return sorted(findings, key=lambda f: order.index(f["severity"]) if f.get("severity") in order else 9)


def _counts(findings: list[Mapping[str, Any]], _: Words) -> str:
    told = []
    for severity in SEVERITIES:
        n = sum(f.get("severity") == severity for f in findings)
        if n:
            told.append(
                {
                    "error": _.many("{n} error", "{n} errors", n),
                    "warning": _.many("{n} warning", "{n} warnings", n),
                    "note": _.many("{n} note", "{n} notes", n),
                }[severity]
            )
    return _("In the data: {list}").format(list=_(", ").join(told) or count(len(findings)))


def _finding(finding: Mapping[str, Any], _: Words) -> Table:
    severity = str(finding.get("severity", "note"))
    names = {"error": _("error"), "warning": _("warning"), "note": _("note")}
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(width=7, no_wrap=True)
    table.add_column(ratio=1)
    message = Text(str(finding.get("message", "")))
    message.append(f"  {finding.get('code', '')}", style="dim")
    if finding.get("fix"):
        message.append("\n" + _("Fix:") + (" " if _.is_source else ""), style="bold")
        message.append(str(finding["fix"]))
    table.add_row(Text(names.get(severity, severity), style=SEVERITIES.get(severity, "")), message)
    return table


def _worst_findings(view: RunView, _: Words) -> list[Group]:
    found = _sorted(view.points("audit", "findings"))
    if not found:
        return []
    pressing = [f for f in found if f.get("severity") in ("error", "warning")][:MOST_FINDINGS]
    rest = len(found) - len(pressing)
    parts: list[Any] = [Text(_counts(found, _), style="bold"), *(_finding(f, _) for f in pressing)]
    if rest and pressing:
        parts.append(Text(_.many("{n} more in the report", "{n} more in the report", rest), style="dim"))
    return [Group(*parts)]


def _steps(steps: list[Step], path: Path | None, _: Words) -> list[Group]:
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(justify="right", no_wrap=True)
    table.add_column(ratio=1)
    for number, step in enumerate(steps, start=1):
        line = Text(step.short or step.text)
        if step.command:
            line.append("\n" + step.command, style="cyan")
        table.add_row(Text(f"{number}.", style="dim"), line)
    parts: list[Any] = [Text(_("What to do next"), style="bold"), table]
    groups = [Group(*parts)] if steps else []
    if path is not None:
        where = Text(_("Report") + "  ", style="bold")
        where.append(str(Path(path) / "report.html"), style="not bold cyan")
        groups.append(Group(where))
    return groups
