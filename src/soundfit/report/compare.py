"""Several runs side by side on one page, with warnings where they are not comparable."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from soundfit.errors import UsageError
from soundfit.report.comparability import Comparability, comparability
from soundfit.report.configurations import chosen_model
from soundfit.report.figures.figure import Figure, Key
from soundfit.report.html import bar, environment, write_page
from soundfit.report.metric_words import MetricWords, metric_words
from soundfit.report.numbers import count, duration, finite, percent, significant
from soundfit.report.run_view import RunView, read_run, whole_records
from soundfit.report.scoreboard import ScoreLine, score_lines, score_metric
from soundfit.report.split_words import split_words
from soundfit.report.verdict_words import verdict_title, verdict_tone
from soundfit.report.words import Words

__all__ = ["write_comparison"]


def write_comparison(run_dirs: Sequence[Path], out: Path, *, lang: str = "en") -> Path:
    """Write a page that sets runs side by side and return its path.

    Raises:
        UsageError: fewer than two folders, or one without a readable ``run.json``.
    """
    folders = [Path(folder) for folder in run_dirs]
    if len(folders) < 2:
        raise UsageError(
            "A comparison needs at least two run folders",
            received=f"{len(folders)}",
            fix="name two or more, or report on the one alone",
        )
    views = [read_run(folder) for folder in folders]
    with whole_records(*folders):
        page = render_comparison(views, _names(folders), lang=lang)
    return write_page(Path(out), page)


def render_comparison(views: Sequence[RunView], names: Sequence[str], *, lang: str = "en") -> str:
    """Return the page as HTML."""
    _ = Words(lang)
    views = [view.retold(_) for view in views]
    shared = comparability(views, names, _)
    metric = score_metric(views[0], _)
    figure = _folds_figure(views, names, metric, _) if shared.cv else None
    lines = [_lines(view, _) for view in views]
    flat = [line for pair in lines for line in pair]
    return (
        environment(lang)
        .get_template("compare.html.j2")
        .render(
            metric=metric,
            names=names,
            verdicts=[
                {
                    "title": verdict_title(str(view.get("verdict", "code", default="")), _),
                    "tone": verdict_tone(str(view.get("verdict", "code", default=""))),
                }
                for view in views
            ],
            shared=shared,
            headline=_headline(views, names, shared, metric, _),
            scores=[
                [(line, bar(line, flat, metric) if shared.cv else None) for line in pair] for pair in lines
            ],
            figure=figure,
            drawn=_drawn(figure),
            common=_common_scores(views, _),
            facts=_facts(views, _),
        )
    )


def _names(folders: Sequence[Path]) -> list[str]:
    """Return short names that differ: the last parts of the paths, as many as it takes."""
    parts = [folder.resolve().parts for folder in folders]
    for n in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-n:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    return [f"{number}. {folder}" for number, folder in enumerate(folders, start=1)]


def _lines(view: RunView, _: Words) -> list[ScoreLine]:
    return [line for line in score_lines(view, _) if line.kind in ("cv", "exam", "sealed")]


def _headline(
    views: Sequence[RunView], names: Sequence[str], shared: Comparability, metric: MetricWords, _: Words
) -> str:
    values = [finite(view.get("cv", "value")) for view in views]
    if not shared.cv or any(value is None for value in values):
        return _("These runs cannot be ranked: they do not answer the same question on the same rows.")
    known = [value for value in values if value is not None]
    order = sorted(range(len(known)), key=lambda i: metric.error(known[i]))
    best, second = order[0], order[1]
    errors = [metric.error(value) for value in known]
    share = 1 - errors[best] / errors[second] if errors[second] > 0 else 0.0
    ahead = _("{best} is ahead of {second} in cross-validation: {share} less error").format(
        best=names[best], second=names[second], share=percent(share)
    )
    gap = _paired(views[best], views[second], metric) if shared.folds else None
    if gap is None:
        spread = max(finite(views[i].get("cv", "se")) or 0.0 for i in (best, second))
        is_clear = abs(known[best] - known[second]) > 2 * spread
    else:
        is_clear = gap[0] > 2 * gap[1]
        ahead += _(" ({gap}, fold by fold)").format(gap=metric.show_difference(*gap))
    return f"{ahead}. " + (
        _("That is a clear difference.")
        if is_clear
        else _("That is no clear difference: take the simpler or the faster one.")
    )


def _paired(best: RunView, second: RunView, metric: MetricWords) -> tuple[float, float] | None:
    """Return the mean difference of the errors fold by fold and its standard error."""
    ours, theirs = best.items("cv", "per_fold"), second.items("cv", "per_fold")
    pairs = [(finite(a), finite(b)) for a, b in zip(ours, theirs, strict=False)]
    gaps = [metric.error(b) - metric.error(a) for a, b in pairs if a is not None and b is not None]
    if len(gaps) < 2 or len(ours) != len(theirs):
        return None
    return statistics.fmean(gaps), statistics.stdev(gaps) / math.sqrt(len(gaps))


def _folds_figure(
    views: Sequence[RunView], names: Sequence[str], metric: MetricWords, _: Words
) -> Figure | None:
    means, rows = [], []
    by_run: dict[str, list[float | None]] = {}
    for view, name in zip(views, names, strict=True):
        by_run[name] = [finite(value) for value in view.items("cv", "per_fold")]
        value, se = finite(view.get("cv", "value")), finite(view.get("cv", "se"))
        if value is not None:
            means.append({"run": name, "x": value, "se": se or 0.0})
        rows.append([name, *(metric.show(v, se) for v in by_run[name])])
    points = [
        {"run": name, "fold": f + 1, "x": v}
        for name, folds in by_run.items()
        for f, v in enumerate(folds)
        if v is not None
    ]
    ends = {name: [v for v in folds if v is not None] for name, folds in by_run.items()}
    ends = {name: [min(folds), max(folds)] for name, folds in ends.items() if folds}
    if not ends:
        return None
    widest = max(ends, key=lambda name: ends[name][1] - ends[name][0])
    n_folds = max(len(row) for row in rows) - 1
    return Figure(
        id="runs",
        kind="strip",
        title=_("Folds of each run"),
        sentence=_("The folds of {name} spread most: from {low} to {high}.").format(
            name=widest, low=metric.show(ends[widest][0]), high=metric.show(ends[widest][1])
        ),
        data={
            "points": points,
            "means": means,
            "names": list(names),
            "x": {"label": metric.label},
            "y": {"label": "", "fraction": metric.name == "accuracy"},
            "words": {"fold": _("fold")},
        },
        keys=(Key(_("one fold"), "dot", "validation"), Key(_("mean ± SE"), "band", "validation")),
        columns=(_("run"), *(f"{_('fold')} {f + 1}" for f in range(n_folds))),
        rows=[row + ["–"] * (n_folds + 1 - len(row)) for row in rows],
    )


def _drawn(figure: Figure | None) -> dict[str, Any]:
    if figure is None:
        return {}
    drawn = {"kind": figure.kind, "label": figure.title, "sentence": figure.sentence, "data": figure.data}
    return {figure.id: drawn}


def _common_scores(views: Sequence[RunView], _: Words) -> list[tuple[str, list[str]]]:
    """Return every exam score that all runs have, as (label, value of each run)."""
    found = []
    for view in views:
        own = {str(view.get("exam", "metric")): view.get("exam", "value")}
        others = view.get("exam", "others", default={})
        scores = {**own, **(others if isinstance(others, dict) else {})}
        found.append({name: finite(value) for name, value in scores.items()})
    shared = [name for name in found[0] if all(scores.get(name) is not None for scores in found)]
    words = [metric_words(name, _) for name in shared]
    return [(m.label, [m.show(scores[m.name]) for scores in found]) for m in words]


def _facts(views: Sequence[RunView], _: Words) -> list[tuple[str, list[str], bool]]:
    """Return what the runs are, as (name, text of each run, whether they differ)."""

    def number(*path: str) -> Callable[[RunView], str]:
        return lambda view: significant(view.get(*path), 2) if finite(view.get(*path)) is not None else "–"

    def whole(*path: str) -> Callable[[RunView], str]:
        return lambda view: count(view.get(*path))

    def text(*path: str) -> Callable[[RunView], str]:
        return lambda view: str(view.get(*path, default="–"))

    def findings(view: RunView) -> str:
        found = [str(f.get("severity")) for f in view.points("audit", "findings")]
        names = {"error": _("error"), "warning": _("warning"), "note": _("note")}
        told = (f"{found.count(s)} {names.get(s, s)}" for s in dict.fromkeys(sorted(found)))
        return _(", ").join(told) or "–"

    rows: list[tuple[str, Callable[[RunView], str]]] = [
        (_("verdict"), lambda view: verdict_title(str(view.get("verdict", "code", default="–")), _)),
        (_("data"), text("data", "path")),
        (_("target"), text("data", "target")),
        (_("rows"), whole("data", "rows")),
        (_("columns"), whole("data", "columns")),
        (_("findings"), findings),
        (_("split"), lambda view: split_words(str(view.get("split", "kind", default="–")), _)),
        (_("folds"), text("study", "folds")),
        (_("seed"), text("split", "seed")),
        (_("model"), lambda view: chosen_model(view, _)),
        (_("width"), whole("chosen", "width")),
        (_("depth"), whole("chosen", "depth")),
        (_("dropout"), number("chosen", "dropout")),
        (_("weight decay"), number("chosen", "weight_decay")),
        (_("learning rate"), number("chosen", "learning_rate")),
        (_("parameters"), whole("chosen", "parameters")),
        (_("configurations tried"), whole("study", "configurations")),
        (_("models trained"), whole("study", "members")),
        (_("time"), lambda view: duration(view.get("seconds"))),
        (_("device"), text("hardware", "device")),
        (_("openings of the test rows"), text("exam", "openings")),
        (_("soundfit"), text("soundfit")),
        (_("command"), text("command")),
    ]
    told = [(name, [read(view) for view in views]) for name, read in rows]
    return [(name, values, len(set(values)) > 1) for name, values in told if set(values) != {"–"}]
