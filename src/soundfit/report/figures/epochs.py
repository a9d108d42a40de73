"""Training and generalisation error over epochs, with the best checkpoint, for the chosen configuration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from soundfit.report.figures.figure import Figure, Key
from soundfit.report.numbers import count, finite, percent, significant
from soundfit.report.run_view import RunView
from soundfit.report.words import Words

__all__ = ["epochs_figure"]

MOST_EPOCHS = 200
MOST_MEMBERS = 30
TABLE_ROWS = 20


@dataclass(frozen=True)
class _Course:
    """Mean losses over the members, one number per epoch; ``best`` is the position of the lowest.

    ``n_stopped`` members ended before the last epoch shown.
    """

    epoch: NDArray[np.float64]
    training: NDArray[np.float64]
    validation: NDArray[np.float64]
    best: int
    n_members: int
    n_stopped: int

    def some(self, most: int) -> list[int]:
        """Return at most about ``most`` positions, evenly spaced, with the best and the last."""
        n = len(self.epoch)
        return sorted({*range(0, n, max(1, n // most)), self.best, n - 1})


def epochs_figure(view: RunView, _: Words) -> Figure | None:
    """Return the picture: one thin line per member, the mean as a thick one."""
    trace = _of_chosen(view)
    course = _mean_over_members(trace) if len(trace) else None
    if course is None:
        return None
    kept = course.some(MOST_EPOCHS)
    epoch, training, validation = course.epoch, course.training, course.validation
    return Figure(
        id="epochs",
        kind="epochs",
        title=_("Loss over epochs"),
        sentence=_sentence(course, _),
        data={
            "mean": [
                {"x": epoch[i], "training": finite(training[i]), "validation": finite(validation[i])}
                for i in kept
            ],
            "thin": _thin(trace, epoch[kept]) if course.n_members <= MOST_MEMBERS else [],
            "best": {"x": epoch[course.best], "y": finite(validation[course.best])},
            "x": {"label": _("epoch")},
            "y": {"label": _("loss")},
            "words": {"training": _("training"), "validation": _("validation"), "chosen": _("best")},
        },
        keys=(
            Key(_("training"), "dash", "training"),
            Key(_("validation"), "line", "validation"),
            *([Key(_("one fold"), "thin", "validation")] if 1 < course.n_members <= MOST_MEMBERS else []),
            Key(_("best"), "ring", "chosen"),
        ),
        columns=(_("epoch"), _("training"), _("validation")),
        rows=[
            [count(epoch[i]), significant(training[i], 4), significant(validation[i], 4)]
            for i in course.some(TABLE_ROWS)
        ],
    )


def _of_chosen(view: RunView) -> pd.DataFrame:
    if not view.has("trace", "member", "epoch", "training_loss", "validation_loss"):
        return pd.DataFrame()
    trace = view.trace
    if "chosen" in trace and trace["chosen"].any():
        return trace[trace["chosen"].astype(bool)]
    if "configuration" in trace and trace["configuration"].nunique() > 1:
        return pd.DataFrame()
    return trace


def _thin(trace: pd.DataFrame, epochs: NDArray[np.float64]) -> list[dict[str, float | int | None]]:
    shown = trace[trace["epoch"].isin(epochs)]
    return [
        {"member": int(member), "x": float(epoch), "y": finite(loss)}
        for member, epoch, loss in zip(shown["member"], shown["epoch"], shown["validation_loss"], strict=True)
    ]


def _mean_over_members(trace: pd.DataFrame) -> _Course | None:
    """Return the mean by epoch. Members that stopped early stay in it with their last losses.

    Were they left out, the mean would bend where a hard or an easy fold leaves, and for that alone.
    """
    wide = trace.pivot_table(index="epoch", columns="member", values=["training_loss", "validation_loss"])
    if "validation_loss" not in wide or len(wide) < 2:
        return None
    last = trace.groupby("member")["epoch"].max()
    mean = wide.ffill().T.groupby(level=0).mean().T.reindex(columns=["training_loss", "validation_loss"])
    validation = mean["validation_loss"].to_numpy(dtype=float)
    if np.isfinite(validation).sum() < 2:
        return None
    return _Course(
        epoch=np.asarray(mean.index, dtype=float),
        training=mean["training_loss"].to_numpy(dtype=float),
        validation=validation,
        best=int(np.nanargmin(validation)),
        n_members=len(last),
        n_stopped=int((last < last.max()).sum()),
    )


def _sentence(course: _Course, _: Words) -> str:
    low, last = float(course.validation[course.best]), float(course.validation[-1])
    at, end = course.epoch[course.best], course.epoch[-1]
    said = [
        _.many(
            "For the one member of the chosen configuration,",
            "On average over {n} members,",
            course.n_members,
        )
        + " "
        + _("validation loss is lowest at epoch {epoch} of {epochs} ({value}).").format(
            epoch=count(at), epochs=count(end), value=significant(low)
        )
    ]
    rise = last / low - 1 if low > 0 else 0.0
    if rise > 0.01:
        said.append(
            _(
                "Training on to the end would have cost {share}: each member keeps its best checkpoint."
            ).format(share=percent(rise))
        )
    elif at >= end - 0.02 * len(course.epoch) and not course.n_stopped:
        said.append(_("It was still falling at the end: more epochs may help."))
    elif at >= end - 0.02 * len(course.epoch):
        said.append(
            _("{n} of {members} members had stopped before: no fold gains much by more epochs.").format(
                n=course.n_stopped, members=course.n_members
            )
        )
    else:
        said.append(_("After that it stays level, so the exact stopping point hardly matters."))
    training = finite(course.training[course.best])
    if training and training > 0 and low > 0:
        said.append(
            _("There, validation loss is {ratio} times the training loss.").format(
                ratio=significant(low / training, 2)
            )
        )
    return " ".join(said)
