"""Halving: at rungs of training, configurations that can hardly win any more leave the study.

A race (Maron & Moore 1994, "Hoeffding races"; Birattari et al. 2002, F-Race): all configurations see the
same folds, so they are compared by paired differences, and one leaves once it is worse beyond chance. Rungs
double, as in successive halving (Jamieson & Talwalkar 2016), which also gives ``keep``: a share that stays.

Curves cross: a schedule that anneals does much of its good late, and a large rate looks bad before. So what
is compared with the best is not where a configuration stands but where it could still get: its score,
bettered by ``margin`` times what it gained in the second half of its epochs so far, while the best is held
where it stands. Knows no bank internals and no files.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from soundfit.bank import Standing
from soundfit.records import Config, Member

__all__ = ["ConfigurationRace", "Halving", "losers"]

Array = NDArray[np.float64]
# Schedule and epochs: only members that anneal alike are alike half way.
Group = tuple[str, int]


@dataclass(frozen=True)
class Halving:
    """When configurations are compared, and what makes one leave.

    Args:
        rungs: fractions of the epochs, ascending, between 0 and 1.
        margin: a configuration may still gain this many times what it gained in the second half of its epochs
            so far; infinity lets nobody leave at all.
        level: confidence of the one-sided paired t interval over folds that the rest has to exceed.
        keep: at most this share of those compared stay at a rung, ranked by where they could get (successive
            halving with 1/2). With 1 only the race decides. Below 1 a configuration may leave without proof.

    Raises:
        ValueError: a value out of its range.

    Example:
        >>> Halving(rungs=(0.25, 0.5)).stops(40)
        (5, 10, 20)
    """

    rungs: tuple[float, ...] = (0.125, 0.25, 0.5, 0.75)
    margin: float = 0.5
    level: float = 0.9
    keep: float = 1.0

    def __post_init__(self) -> None:
        ascending = list(self.rungs) == sorted(set(self.rungs))
        if not self.rungs or not ascending or not all(0.0 < f < 1.0 for f in self.rungs):
            raise ValueError(f"rungs are ascending fractions between 0 and 1, however: {self.rungs=}")
        if not self.margin >= 0.0:
            raise ValueError(f"margin is a number of gains, 0 or more, however: {self.margin=}")
        if not 0.5 <= self.level < 1.0:
            raise ValueError(f"level is a confidence of at least 0.5 and below 1, however: {self.level=}")
        if not 0.0 < self.keep <= 1.0:
            raise ValueError(f"keep is a share above 0 and at most 1, however: {self.keep=}")

    def judged(self, epochs: int) -> tuple[int, ...]:
        """Return after which of so many epochs members are compared."""
        return tuple(sorted({e for f in self.rungs if 1 < (e := math.ceil(f * epochs)) < epochs}))

    def stops(self, epochs: int) -> tuple[int, ...]:
        """Return the rungs and the middles before them, from where gains are measured."""
        return tuple(sorted({s for e in self.judged(epochs) for s in (_middle(e), e)}))


def _middle(epoch: int) -> int:
    return math.ceil(epoch / 2)


def losers(
    loss_CK: Array, before_CK: Array, racing_C: NDArray[np.bool_], halving: Halving
) -> NDArray[np.bool_]:
    """Return which configurations leave.

    Args:
        loss_CK: smaller is better; NaN where unknown (such configurations neither lead nor leave).
        before_CK: the same, half as many epochs ago.
        racing_C: who may leave; all others are compared with, and stay.
        halving: margin, level and share.
    """
    mean_C = loss_CK.mean(axis=1)
    known_C = np.isfinite(mean_C)
    leave_C = np.zeros(len(mean_C), dtype=bool)
    if not known_C.any() or math.isinf(halving.margin):
        return leave_C
    best = int(np.nanargmin(mean_C))
    difference_CK = loss_CK - loss_CK[best]
    k = loss_CK.shape[1]
    gain_C = np.nan_to_num((before_CK - loss_CK).mean(axis=1), nan=np.inf)
    hope_C = halving.margin * np.maximum(gain_C, 0.0) if halving.margin > 0 else np.zeros(len(gain_C))
    may_C = racing_C & known_C
    may_C[best] = False
    if k > 1:
        se_C = difference_CK.std(axis=1, ddof=1) / np.sqrt(k)
        reach_C = stats.t.ppf(halving.level, k - 1) * se_C + hope_C
        with np.errstate(invalid="ignore"):
            leave_C = may_C & (difference_CK.mean(axis=1) > reach_C)
    if halving.keep < 1.0:
        forecast_C = np.where(known_C, mean_C - hope_C, -np.inf)
        forecast_C[best] = -np.inf
        contenders = np.flatnonzero(racing_C & ~leave_C)
        n = max(math.ceil(halving.keep * int(racing_C.sum())), 1)
        behind = contenders[np.argsort(forecast_C[contenders], kind="stable")][n:]
        leave_C[behind] = may_C[behind]
    return np.asarray(leave_C)


@dataclass
class ConfigurationRace:
    """The race of a study's configurations, over all of its calls to the bank.

    Args:
        halving: the rule.
        metric: its name.
        n_folds: folds of the study.
        score: loss-like score (smaller is better) of a member at a standing.
    """

    halving: Halving
    metric: str
    n_folds: int
    score: Callable[[Member, Standing], float]
    _seen: dict[tuple[Group, int], dict[int, Array]] = field(default_factory=dict)
    """Fold losses by group and epoch, then configuration: later calls race against earlier ones."""

    def of(self, members: Sequence[Member]) -> CallRace:
        """Return the race of one call's members."""
        return CallRace(self, tuple(members))


@dataclass(frozen=True)
class CallRace:
    """One call's part of the race, as the bank wants it."""

    race: ConfigurationRace
    members: tuple[Member, ...]

    @cached_property
    def groups(self) -> dict[Group, list[int]]:
        """Members (positions) by group."""
        groups: dict[Group, list[int]] = {}
        for i, m in enumerate(self.members):
            groups.setdefault(self._group(m.config), []).append(i)
        return groups

    def _group(self, config: Config) -> Group:
        """Return with whom a configuration is compared; where a share stays, a baseline is not among them."""
        alone = self.race.halving.keep < 1.0 and config.model == "linear"
        return (f"{config.schedule}, linear" if alone else config.schedule, config.epochs)

    @property
    def epochs(self) -> Sequence[int]:
        """After which epochs members wait for each other."""
        return sorted({e for _, n in self.groups for e in self.race.halving.stops(n)})

    @property
    def key(self) -> str:
        """What the judgement depends on besides the standings."""
        return repr((self.race.halving, self.race.metric))

    def record(self) -> list[Any]:
        """Return what was seen so far, JSON-ready."""
        return [
            [schedule, epochs, epoch, [[c, losses.tolist()] for c, losses in seen.items()]]
            for ((schedule, epochs), epoch), seen in self.race._seen.items()
        ]

    def restore(self, record: list[Any]) -> None:
        """Take up what was seen before an interruption."""
        for schedule, epochs, epoch, seen in record:
            mine = self.race._seen.setdefault(((schedule, epochs), epoch), {})
            mine.update({c: np.array(losses) for c, losses in seen})

    def losers(self, epoch: int, standings: Sequence[Standing]) -> list[int]:
        """Return the members of the configurations that leave after ``epoch``."""
        leaving: list[int] = []
        for group, positions in self.groups.items():
            if epoch in self.race.halving.stops(group[1]):
                leaving += self._leaving(group, epoch, positions, standings)
        return leaving

    def _leaving(
        self, group: Group, epoch: int, positions: Sequence[int], standings: Sequence[Standing]
    ) -> list[int]:
        by_configuration: dict[int, list[int]] = {}
        for i in positions:
            by_configuration.setdefault(self.members[i].configuration, []).append(i)
        out = {
            c for c, mine in by_configuration.items() if any(standings[i].status == "dropped" for i in mine)
        }
        seen = self.race._seen.setdefault((group, epoch), {})
        for c, mine in by_configuration.items():
            if c not in out:
                seen[c] = self._losses(mine, standings)
        if epoch not in self.race.halving.judged(group[1]):
            return []
        before = self.race._seen.get((group, _middle(epoch)), {})
        everyone = sorted(seen)
        unknown = np.full(self.race.n_folds, np.nan)
        if not everyone:
            return []
        racing = [
            c in by_configuration and any(standings[i].status == "training" for i in by_configuration[c])
            for c in everyone
        ]
        leave = losers(
            np.stack([seen[c] for c in everyone]),
            np.stack([before.get(c, unknown) for c in everyone]),
            np.array(racing),
            self.race.halving,
        )
        gone = {c for c, leaves in zip(everyone, leave, strict=True) if leaves}
        return [i for c in gone for i in by_configuration[c] if standings[i].status == "training"]

    def _losses(self, positions: Sequence[int], standings: Sequence[Standing]) -> Array:
        """Return one configuration's losses by fold, the mean over seeds; NaN where a member has none yet."""
        total, count = np.zeros(self.race.n_folds), np.zeros(self.race.n_folds)
        for i in positions:
            standing = standings[i]
            known = standing.best_epoch > 0 and standing.status != "failed"
            total[self.members[i].fold] += self.race.score(self.members[i], standing) if known else np.nan
            count[self.members[i].fold] += 1
        with np.errstate(invalid="ignore"):
            return np.asarray(total / count)
