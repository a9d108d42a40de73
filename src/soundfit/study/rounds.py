"""Rounds: members in an order that makes the most of a limit on time, cheap configurations first.

A configuration counts once all its folds are through. So configurations of one size train together as
a round, the cheapest size first; before each round its time is predicted from the rounds before, and
what would not fit is left out rather than cut half way.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from soundfit.bank import Outcome
from soundfit.records import Config, Member

__all__ = ["SAFETY", "Round", "complete_configurations", "cost", "plan_rounds", "train_in_rounds"]

# A step's overhead (dispatch, optimiser, sampling) in units of one parameter of one row.
_OVERHEAD = 150_000.0
# Angles of a kernel, in products of two numbers, which are in double precision there.
_KERNEL = 100
# Predictions are rough: a round starts if it fits with this much to spare.
SAFETY = 1.15


@dataclass(frozen=True)
class Round:
    """Configurations (positions) of one size, and what a member of theirs costs."""

    configurations: tuple[int, ...]
    cost: float


def cost(config: Config, n_inputs: int, n_train: int) -> float:
    """Return what a member costs to train, in arbitrary units; a solved one, three passes over its rows."""
    if config.is_infinite:
        return float(3 * n_train * config["landmarks"] * (2 * n_inputs + _KERNEL * config.depth))
    n_inputs += 3 * len(config.get("periodic", ()))
    width, depth = (config.width, config.depth) if config.model != "linear" else (0, 0)
    blocks = 2 if config.model == "resmlp" else 1
    parameters = n_inputs * max(width, 1) + blocks * max(depth - 1, 0) * width**2 + width
    batch = max(min(config.batch_size, n_train), 1)
    steps = config.epochs * max(n_train // batch, 1)
    return float(steps * (_OVERHEAD + parameters * batch))


def plan_rounds(
    configurations: Sequence[Config],
    n_inputs: int,
    n_train: int,
    *,
    cost_of: Callable[[Config, int], float] | None = None,
) -> list[Round]:
    """Group configurations by size, cheapest first; ``cost_of(config, n_train)`` where it is no table net."""
    price = cost_of or (lambda config, rows: cost(config, n_inputs, rows))
    sizes: dict[tuple[object, ...], list[int]] = {}
    for i, c in enumerate(configurations):
        sizes.setdefault((c.model, c.width, c.depth, c.batch_size, len(c.get("periodic", ()))), []).append(i)
    rounds = [
        Round(tuple(members), max(price(configurations[i], n_train) for i in members))
        for members in sizes.values()
    ]
    return sorted(rounds, key=lambda r: r.cost)


def train_in_rounds(
    train: Callable[[list[Member]], list[Outcome]],
    members: Sequence[Member],
    rounds: Sequence[Round],
    *,
    seconds_left: Callable[[], float],
    clock: Callable[[], float] = time.perf_counter,
) -> list[tuple[Member, Outcome]]:
    """Train round after round while time lasts, and return who was trained, in the order of ``members``.

    The first round always starts: something must be trained. A later one starts with as many of its
    configurations as are predicted to fit.
    """
    done: dict[int, Outcome] = {}
    rate = 0.0
    for number, one in enumerate(rounds):
        left = seconds_left()
        if number > 0 and left <= 0:
            break
        wanted = one.configurations
        mine = [i for i, m in enumerate(members) if m.configuration in set(wanted)]
        each = SAFETY * rate * one.cost * len(mine) / max(len(wanted), 1)
        if each > 0:
            wanted = wanted[: int(left / each)]
            mine = [i for i in mine if members[i].configuration in set(wanted)]
        if not mine:
            break
        start = clock()
        outcomes = train([members[i] for i in mine])
        # The latest round predicts best: rates change with size.
        rate = (clock() - start) / (one.cost * len(mine))
        done.update(zip(mine, outcomes, strict=True))
    return [(members[i], done[i]) for i in sorted(done)]


def complete_configurations(
    members: Sequence[Member], outcomes: Sequence[Outcome], n_configurations: int
) -> list[bool]:
    """Return which configurations have no member that was cut, or left at a rung, before its end."""
    complete = [False] * n_configurations
    for member in members:
        complete[member.configuration] = True
    for member, outcome in zip(members, outcomes, strict=True):
        if outcome.status in ("interrupted", "dropped"):
            complete[member.configuration] = False
    return complete
