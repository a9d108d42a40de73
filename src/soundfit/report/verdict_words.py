"""What a verdict is called, how it looks, and what to do next. Knows no page."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from soundfit.report.numbers import count, percent, significant
from soundfit.report.run_view import RunView
from soundfit.report.words import Words

__all__ = [
    "Step",
    "final_line",
    "next_steps",
    "run_name",
    "tried_lines",
    "verdict_title",
    "verdict_tone",
]

TONES = {
    "good-fit": "good",
    "underfitting": "mild",
    "overfitting": "warn",
    "noise-limited": "mild",
    "not-learning": "bad",
    "unstable": "bad",
}


@dataclass(frozen=True)
class Step:
    """One thing to do: a sentence, and a command where one does it.

    ``short`` says the same where the finding behind it is already in view.
    """

    text: str
    command: str = ""
    short: str = ""


def verdict_title(code: str, _: Words) -> str:
    """Return the name of a verdict."""
    titles = {
        "good-fit": _("Good fit"),
        "underfitting": _("Underfitting"),
        "overfitting": _("Overfitting"),
        "noise-limited": _("Noise-limited"),
        "not-learning": _("Not learning"),
        "unstable": _("Unstable training"),
    }
    return titles.get(code, code or _("No verdict"))


def verdict_tone(code: str) -> str:
    """Return ``good``, ``mild``, ``warn`` or ``bad``."""
    return TONES.get(code, "mild")


def next_steps(view: RunView, _: Words) -> list[Step]:
    """Return what to do next, most pressing first: what makes the score a lie, the verdict's advice, use."""
    steps = []
    for finding in view.points("audit", "findings"):
        if finding.get("severity") == "error":
            told = str(finding.get("message", finding.get("code", ""))).rstrip(".")
            fix = str(finding.get("fix", ""))
            is_option = fix.startswith("--")
            text = (
                told if is_option or not fix else _("{problem}. Do this: {fix}").format(problem=told, fix=fix)
            )
            short = _("Settle “{code}” as its fix says, then train again.").format(
                code=finding.get("code", "")
            )
            steps.append(Step(text.rstrip(".") + ".", _again(view, fix) if is_option else "", short))
    advised = view.items("verdict", "prescriptions")
    texts = [p.get("text", "") if isinstance(p, Mapping) else p for p in advised if not _was_tried(p)]
    steps += [Step(str(text)) for text in texts if text]
    name = shlex.quote(run_name(view))
    if view.is_sealed:
        steps.append(
            Step(
                _("When every choice is made, open the seal once: only that score is honest."),
                f"soundfit exam {name}",
            )
        )
    if view.get("data", "kind") == "pictures":
        steps.append(Step(_("Predict new pictures:"), f"soundfit predict {name} new/ -o predictions.csv"))
    else:
        steps.append(Step(_("Predict for new rows:"), f"soundfit predict {name} new.csv"))
    return steps


def tried_lines(view: RunView, _: Words) -> list[str]:
    """Return what training tried of the prescriptions, with validation before and after."""
    lines = []
    for p in view.points("verdict", "prescriptions"):
        if not _was_tried(p):
            continue
        before, after = (significant(p.get(name), 4) for name in ("before", "after"))
        se = p.get("se")
        line = _("{what}: {before} → {after}").format(what=p.get("text", ""), before=before, after=after)
        if se is not None:
            line += " " + _("(SE of the difference {se})").format(se=significant(se, 2))
        lines.append(line + _(", ") + (_("kept") if p.get("kept") else _("not kept")))
    return lines


def final_line(view: RunView, _: Words) -> str:
    """Say what the final model is made of; nothing where a run does not say."""
    members, parts = view.get("final", "members"), view.points("final", "configurations")
    if not members or not parts:
        return ""
    kind, refitted = view.get("final", "kind"), [*_refit_line(view, _), *_mean_line(view, _)]
    if kind in ("fold-ensemble", "refit"):
        line = _("Final model: the mean of its {members} fold members.")
        if kind == "refit":
            line = _("Final model: the mean of {members} members of the chosen configuration.")
        return _.sentences([line.format(members=count(members)), *refitted])
    value, alone = (significant(view.get("final", name), 4) for name in ("value", "chosen_alone"))
    line = _(
        "Final model: a blend of {n} configurations ({members} members); out of fold {value}, "
        "{alone} by the chosen one alone."
    ).format(n=len(parts), members=count(members), value=value, alone=alone)
    solved = sum(p.get("weight", 0.0) for p in parts if p.get("model") == "infinite")
    if solved > 0:
        told = _("{share} of its weight are nets of infinite width, solved in closed form.")
        line = _.sentences([line, told.format(share=percent(solved))])
    return _.sentences([line, *refitted])


def _mean_line(view: RunView, _: Words) -> list[str]:
    """Say that predictions are means, where members tell logarithms."""
    factor = view.get("final", "mean_factor")
    if not factor:
        return []
    line = _(
        "Members tell logarithms; predictions are means, {factor} times their exponential (Duan 1983): "
        "out of fold that lowers squared errors."
    )
    return [line.format(factor=significant(factor, 4))]


def _refit_line(view: RunView, _: Words) -> list[str]:
    """Say whether the final model is trained on all rows, and why; nothing where that was not compared."""
    if view.get("refit", "loss") is None:
        return []
    if view.get("refit", "chosen"):
        line = _(
            "Its members are trained on all rows that are not sealed: one scale smaller, that validates "
            "better than fold members ({ratio} of their loss, SE {se})."
        )
    else:
        line = _(
            "Its members miss a fold each: one scale smaller, training on all rows validates no better "
            "({ratio} of the fold members' loss, SE {se})."
        )
    theirs = max(view.get("refit", "loss_folds"), 1e-12)
    ratio, se = (percent(view.get("refit", name) / theirs, 3) for name in ("loss", "se"))
    return [line.format(ratio=ratio, se=se)]


def _was_tried(p: object) -> bool:
    return isinstance(p, Mapping) and bool(p.get("applied"))


def _again(view: RunView, option: str) -> str:
    """Return the run's command with one more option; the option alone where the command is unknown."""
    command = view.get("command", default="")
    words = command if isinstance(command, str) else shlex.join(_listed(command))
    return f"{words} {option}".strip()


def _listed(command: Any) -> list[str]:
    return [str(word) for word in command] if isinstance(command, list) else []


def run_name(view: RunView) -> str:
    """Return the run folder as the user called it: its ``--out``, else the folder's own name."""
    command = view.get("command", default="")
    try:
        words = shlex.split(command) if isinstance(command, str) else _listed(command)
    except ValueError:
        words = []
    for position, word in enumerate(words):
        if word in ("--out", "-o") and position + 1 < len(words):
            return words[position + 1]
        if word.startswith("--out="):
            return word.removeprefix("--out=")
    return view.name or view.folder.name or "run"
