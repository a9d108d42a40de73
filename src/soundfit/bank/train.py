"""Train members: sort them into banks by architecture, cut banks into chunks, train, hand back the best.

The one entrance to the engine for whoever has members to train. Knows no metrics and no tables.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from soundfit.bank.architecture import architecture_key
from soundfit.bank.bank import Bank
from soundfit.bank.chunk import activation_elements, chunk_bounds, members_at_once
from soundfit.bank.evaluation import exam_groups, member_outputs
from soundfit.bank.loss import Loss, resolve_loss
from soundfit.bank.optimizer import Scales
from soundfit.bank.order import steps_per_epoch
from soundfit.bank.rows import BankData, MemberRows
from soundfit.bank.stack import Stack, stack_modules
from soundfit.bank.threads import default_workers, in_threads
from soundfit.models.dropout import replace_dropout
from soundfit.records import Config, Trace

__all__ = ["Outcome", "train_members"]

MakeModule = Callable[[Config], nn.Module]


@dataclass
class Outcome:
    """What came of one member: best checkpoint (a module), losses at it, status and trace."""

    module: nn.Module
    status: str
    best_epoch: int
    epochs: int
    training_loss: float
    validation_loss: float
    rollbacks: int
    n_parameters: int
    bank: int
    trace: Trace
    validation_outputs: Tensor
    """Outputs (n, C) on the member's validation rows at the best checkpoint, on the host."""


@dataclass(frozen=True)
class _Seat:
    """A member on its way into a bank."""

    at: int
    config: Config
    rows: MemberRows
    seed: int
    module: nn.Module


def train_members(
    make_module: MakeModule,
    configs: Sequence[Config],
    rows: Sequence[MemberRows],
    data: BankData,
    *,
    seeds: Sequence[int],
    loss: str | Callable[[Tensor, Tensor], Tensor] = "mse",
    device: torch.device | None = None,
    memory_bytes: int | None = None,
    at_once: int | None = None,
    workers: int | None = None,
    on_epoch: Callable[[int], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    trace: bool = True,
) -> list[Outcome]:
    """Train one member per configuration and return their outcomes in order.

    Args:
        make_module: builds a member's module from its configuration (under the member's seed).
        configs: one per member.
        rows: one per member.
        data: inputs and targets.
        seeds: one per member: initialisation, dropout and input noise.
        loss: ``"mse"``, ``"cross_entropy"`` or ``loss(output, target) -> scalar``.
        device: where to train; the CPU by default.
        memory_bytes: never hold more members at once than fit here.
        at_once: members in lockstep, instead of what cache and memory suggest.
        workers: chunks trained side by side, each on one thread; by default one per core of a small
            machine, and one on a GPU. The result does not depend on it.
        on_epoch: called with the number of member-epochs just done.
        should_stop: asked between epochs; True ends training with the best so far.
        trace: False runs each step anew instead of replaying a tape (the slow twin of the tests).

    Raises:
        ValueError: lengths differ, or a module has nothing to train.
    """
    if not len(configs) == len(rows) == len(seeds):
        raise ValueError(
            "configs, rows and seeds have one entry per member, however: "
            f"{len(configs)}, {len(rows)} and {len(seeds)}"
        )
    device = device or torch.device("cpu")
    data = data.to(device)
    loss_of_member = resolve_loss(loss)
    n_workers = workers if workers is not None else default_workers(device)
    chunks = [
        (number, chunk)
        for number, seats in enumerate(_banks(make_module, configs, rows, seeds))
        for chunk in _chunks(seats, data, device, memory_bytes, at_once, n_workers)
    ]

    def train_chunk(job: tuple[int, list[_Seat]]) -> list[tuple[int, Outcome]]:
        number, chunk = job
        bank = _open_bank(chunk, data, loss_of_member, device, trace)
        _run(bank, on_epoch, should_stop)
        return [(s.at, o) for s, o in zip(chunk, _outcomes(bank, chunk, number), strict=True)]

    outcomes = dict(pair for pairs in in_threads(train_chunk, chunks, n_workers) for pair in pairs)
    return [outcomes[i] for i in range(len(configs))]


def _banks(
    make_module: MakeModule,
    configs: Sequence[Config],
    rows: Sequence[MemberRows],
    seeds: Sequence[int],
) -> list[list[_Seat]]:
    """Sort members into banks: one architecture, batch size, optimiser and number of steps each."""
    banks: dict[object, list[_Seat]] = {}
    with torch.random.fork_rng(devices=[]):
        for at, (config, member_rows, seed) in enumerate(zip(configs, rows, seeds, strict=True)):
            torch.manual_seed(seed)
            module = make_module(config)
            replace_dropout(module, seed=seed)
            batch = min(config.batch_size, len(member_rows.train))
            key = (
                architecture_key(module),
                batch,
                steps_per_epoch(len(member_rows.train), batch),
                config.optimizer,
                config.get("beta2", 0.999),
            )
            banks.setdefault(key, []).append(_Seat(at, config, member_rows, seed, module))
    return [sorted(seats, key=lambda s: (s.rows.stream, s.at)) for seats in banks.values()]


def _chunks(
    seats: list[_Seat],
    data: BankData,
    device: torch.device,
    memory_bytes: int | None,
    at_once: int | None,
    n_workers: int,
) -> list[list[_Seat]]:
    first = seats[0]
    batch = min(first.config.batch_size, len(first.rows.train))
    sample = data.sample(max(2, batch))
    n_parameters = sum(p.numel() for p in first.module.parameters())
    if at_once is None:
        module = first.module.to(device)
        activations = activation_elements(module, sample)
        memory = None if memory_bytes is None else memory_bytes // n_workers
        at_once = members_at_once(n_parameters, activations, device=device, memory_bytes=memory)
    bounds = chunk_bounds([s.rows.stream for s in seats], at_once)
    return [seats[a:b] for a, b in bounds]


def _open_bank(seats: list[_Seat], data: BankData, loss: Loss, device: torch.device, trace: bool) -> Bank:
    first = seats[0]
    batch = min(first.config.batch_size, len(first.rows.train))
    stack = stack_modules([s.module for s in seats], sample=data.sample(max(2, batch)), device=device)
    n_steps = steps_per_epoch(len(first.rows.train), batch)
    return Bank(
        stack,
        [s.config for s in seats],
        [s.rows for s in seats],
        data,
        loss,
        seeds=[s.seed for s in seats],
        # With a step or two an epoch, evaluating each epoch would cost more than training.
        evaluate_every=max(1, round(8 / n_steps)),
        scales=_scales(first.module, stack, device),
        trace=trace,
    )


def _scales(module: nn.Module, stack: Stack, device: torch.device) -> Scales:
    """Read a module's ``parameter_scales`` (name → factors on learning rate and decay), if it has any."""
    factors = getattr(module, "parameter_scales", None)
    if not factors:
        return Scales()
    rate = torch.ones(1, stack.params_MP.shape[1], device=device)
    decay = torch.ones_like(rate)
    for slot in stack.slots:
        rate[:, slot.start : slot.start + slot.size], decay[:, slot.start : slot.start + slot.size] = (
            factors.get(slot.name, (1.0, 1.0))
        )
    return Scales(rate, decay)


def _run(bank: Bank, on_epoch: Callable[[int], None] | None, should_stop: Callable[[], bool] | None) -> None:
    total = int(bank.n_epochs.sum())
    told = 0
    while bank.running:
        bank.run_epoch()
        if on_epoch is not None:
            # Members that stopped early count as through, so that the bar ends where it should.
            done = sum(
                int(n) if status != "training" else int(e)
                for n, e, status in zip(
                    bank.n_epochs, bank.progress.epochs, bank.progress.status, strict=True
                )
            )
            on_epoch(done - told)
            told = done
        if should_stop is not None and should_stop():
            break
    if on_epoch is not None and told < total:
        on_epoch(total - told)


def _outcomes(bank: Bank, seats: list[_Seat], number: int) -> list[Outcome]:
    """Collect the members at their best checkpoints, with outputs on their validation rows."""
    progress = bank.progress
    best = Stack(bank.stack.template, bank.stack.slots, bank.best_MP, bank.best_buffers, bank.stack.mutated)
    outputs: list[Tensor] = []
    for group in exam_groups([s.rows for s in seats], bank.device):
        inputs = bank.data.inputs_VN[group.view][group.validation]
        outputs.extend(member_outputs(bank.program, best, group.members, inputs).cpu().unbind(0))
    return [
        Outcome(
            best.module(i).cpu().eval(),
            progress.status[i] if progress.status[i] != "training" else "interrupted",
            int(progress.best_epoch[i]),
            int(progress.epochs[i]),
            float(progress.training_at_best[i]),
            float(progress.best_loss[i]) if progress.best_epoch[i] else float("nan"),
            int(progress.rollbacks[i]),
            sum(s.size for s in bank.stack.slots),
            number,
            progress.trace(i),
            outputs[i],
        )
        for i in range(len(seats))
    ]
