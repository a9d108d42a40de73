"""Bank: M members of one architecture in training, in lockstep, each with its own everything.

Owns the state that changes (parameters, moments, best checkpoints, who is still training); the method
that matters is :meth:`Bank.run_epoch`. Knows no metrics, no files and nothing of how members were chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from soundfit.bank.chunk import activation_elements
from soundfit.bank.evaluation import (
    TapedExam,
    answered,
    exam_groups,
    exam_losses,
    exam_sheets,
    rows_in_a_pass,
)
from soundfit.bank.fusion import is_worth_it
from soundfit.bank.hyper import Hyper
from soundfit.bank.loss import Loss
from soundfit.bank.optimizer import OptimizerState, Scales, apply_l1_, clip_gradients_, optimizer_step_
from soundfit.bank.order import epoch_orders, steps_per_epoch
from soundfit.bank.program import Program
from soundfit.bank.progress import Progress
from soundfit.bank.rows import BankData, MemberRows
from soundfit.bank.schedule import multiplier_table
from soundfit.bank.shard import Shard
from soundfit.bank.stack import Stack
from soundfit.bank.state import bank_state, restore_bank
from soundfit.bank.tape import Tape
from soundfit.models.counter import key_of, normal_like, stir
from soundfit.records import Config, Event

__all__ = ["COMPACT_BELOW", "MAX_ROLLBACKS", "ROLLBACK_FACTOR", "Bank"]

BoolArray = NDArray[np.bool_]

MAX_ROLLBACKS = 5
ROLLBACK_FACTOR = 0.3
# Leaving costs a copy and a new trace: worth it once this share of the members is left.
COMPACT_BELOW = 0.75
# A tape keeps what a run of it makes: evaluations of more kinds of pass than this run anew (CPU, GPU).
TAPED_SHAPES = (4, 64)


class Bank:
    """Members of one architecture, batch size and optimiser in training.

    Args:
        stack: the members' parameters and buffers.
        configs: one per member; ``batch_size``, ``optimizer`` and ``beta2`` agree over members. Option
            ``horizon``: epochs that the schedule is made for, where training ends before (``epochs``);
            option ``keep``: ``"last"`` for the last sound state instead of the best one.
        rows: one per member; the number of steps an epoch agrees over members.
        data: inputs and targets on the stack's device.
        loss: the loss of one member.
        seeds: one per member, for its input noise.
        evaluate_every: epochs between evaluations.
        scales: per-parameter factors on learning rate and decay.
        program: how members' gradients are computed; by ``vmap`` if None.
        trace: False runs each step anew instead of replaying a tape (the slow twin).
        shard: this process's part of every batch, where several train the same members.
    """

    def __init__(
        self,
        stack: Stack,
        configs: Sequence[Config],
        rows: Sequence[MemberRows],
        data: BankData,
        loss: Loss,
        *,
        seeds: Sequence[int],
        evaluate_every: int = 1,
        scales: Scales | None = None,
        program: Program | None = None,
        trace: bool = True,
        shard: Shard | None = None,
    ) -> None:
        self.device = stack.params_MP.device
        self.stack, self.data, self.rows = stack, data, list(rows)
        self.scales = scales or Scales()
        self.program = program or Program(stack, loss)
        self.shard = shard
        # A tape knows the tensors' operations, not those between processes.
        self.trace = trace and self.program.tapeable and shard is None
        self.batch = min(configs[0].batch_size, len(rows[0].train))
        self.n_steps = steps_per_epoch(len(rows[0].train), self.batch)
        self.n_epochs = np.array([c.epochs for c in configs])
        self.patience = np.array([c.patience for c in configs])
        self.evaluate_every = evaluate_every
        self.epoch = 0
        self.alive = np.arange(stack.size)
        self.seated = self.alive
        self.hyper = Hyper.of(configs, seeds, self.device)
        self.keeps_last = np.array([_keeps_last(c) for c in configs])
        table = multiplier_table([(c.schedule, _horizon(c) * self.n_steps, c.warmup) for c in configs])
        self.multiplier_TM = torch.from_numpy(table).to(self.device)
        self.optimizer = OptimizerState.zeros(
            configs[0].optimizer, stack.params_MP, beta2=float(configs[0].get("beta2", 0.999))
        )
        self.loss_sum_M = torch.zeros(stack.size, device=self.device)
        self.best_MP = stack.params_MP.clone()
        self.best_buffers = {name: b.clone() for name, b in stack.buffers.items()}
        self.progress = Progress.empty(stack.size)
        self._step_tape: Tape | None = None
        self._taped_exam: TapedExam | None = None
        elements = activation_elements(stack.template, data.sample(1))
        self.rows_a_pass = rows_in_a_pass(elements, self.device)
        # From all members and all steps, whoever leaves: the same kernels from beginning to end.
        self.fuse = None if self._deserves_kernels(elements) else False
        self._index_rows()
        self.good = {name: tensor.clone() for name, tensor in self.state_tensors().items()}

    @property
    def running(self) -> bool:
        """Whether any member is still training."""
        return len(self.alive) > 0

    # ---- one epoch -----------------------------------------------------------------------------------

    def run_epoch(self) -> None:
        """Train every member for one epoch, evaluate where it is due, let the finished leave."""
        self.epoch += 1
        if (self.epoch - 1) % self.evaluate_every == 0:
            self.loss_sum_M.zero_()
        with torch.no_grad():
            self._draw_orders()
            # From here the device counts by itself.
            self.step_1.fill_((self.epoch - 1) * self.n_steps)
            self.step_of_epoch_1.zero_()
            self._advance(self.n_steps)
        alive, progress = self.alive, self.progress
        training = progress.training(alive)
        progress.epochs[alive[training]] = self.epoch
        # Each member is examined on its own beat and at its own end, whoever else is in the bank.
        on_beat = self.epoch % self.evaluate_every == 0
        due = training & (on_beat | (self.epoch >= self.n_epochs[alive]))
        if due.any():
            self._check(due)

    def _draw_orders(self) -> None:
        """Draw the rows (S, K, B) that each stream reads at each step of this epoch."""
        for at, rows_KN, seeds_K in self.streams:
            order_KSB = epoch_orders(rows_KN.shape[1], self.batch, seeds_K=seeds_K, epoch=self.epoch)
            index_KSB = rows_KN.gather(1, order_KSB.flatten(1)).view_as(order_KSB)
            self.index_SKB.index_copy_(1, at, index_KSB.transpose(0, 1))

    def _advance(self, n_steps: int) -> None:
        """Take steps by replaying the tape, which is recorded first where there is none."""
        if not self.trace:
            for _ in range(n_steps):
                self._step()
            return
        if self._step_tape is None:
            # Recording takes a step, which may round differently from a replay: taken back, so that
            # results do not depend on when a bank was compacted or restarted.
            counters = (self.step_1, self.step_of_epoch_1, self.optimizer.step, self.loss_sum_M)
            changed = [*self.state_tensors().values(), *counters]
            before = [tensor.clone() for tensor in changed]
            self._step_tape = Tape(self._step, device=self.device, fuse=self.fuse)
            for tensor, value in zip(changed, before, strict=True):
                tensor.copy_(value)
        self._step_tape.replay(n_steps)

    def _deserves_kernels(self, activations_a_row: int) -> bool:
        """Return whether training is long enough for kernels to be made for it."""
        if self.device.type != "cuda":
            return False
        # Seven passes of AdamW over the parameters, some six over the activations.
        of_member = 7 * self.stack.params_MP.shape[1] + 6 * self.batch * activations_a_row
        return is_worth_it(int(self.n_epochs.max()) * self.n_steps, self.stack.size * of_member)

    def _step(self) -> tuple[Tensor, ...]:
        hyper, stack = self.hyper, self.stack
        x, y, own = self._batch()
        grads_MP, loss_M, changed = self.program.step(
            tuple(stack.views().values()),
            tuple(stack.buffers.values()),
            x,
            y,
            hyper.smoothing_M1[:, 0] if hyper.any_smoothing else None,
            own=own,
            keys_M=None if self.program.tapeable else key_of(hyper.seed_M, self.step_1),
        )
        if self.shard is not None:
            self.shard.average_([grads_MP, loss_M, *changed], self.batch)
        for name, value in zip(stack.mutated, changed, strict=True):
            stack.buffers[name].copy_(value)
        self.loss_sum_M.add_(loss_M)
        if hyper.any_l1:
            apply_l1_(grads_MP, stack.params_MP, hyper.l1_M1)
        if hyper.any_clip:
            clip_gradients_(grads_MP, hyper.clip_M1)
        multiplier_M1 = self.multiplier_TM.index_select(0, self.step_1).view(-1, 1)
        optimizer_step_(
            self.optimizer,
            stack.params_MP,
            grads_MP,
            learning_rate_M1=hyper.learning_rate_M1 * multiplier_M1,
            weight_decay_M1=hyper.weight_decay_M1,
            momentum_M1=hyper.momentum_M1,
            scales=self.scales,
        )
        self.step_1.add_(1)
        self.step_of_epoch_1.add_(1)
        return ()

    def _batch(self) -> tuple[Tensor, Tensor, tuple[bool, bool]]:
        """Return inputs, targets, and whether they are each member's own."""
        inputs, targets = self.data.inputs_VN, self.data.targets_VN
        index_KB = self.index_SKB.index_select(0, self.step_of_epoch_1)[0]
        if self.shard is not None:
            index_KB = self.shard.part(index_KB)
        if len(self.stream_view) == 1:
            view = self.stream_view[0]
            x = inputs[view].index_select(0, index_KB[0])
            y = targets[view].index_select(0, index_KB[0])
            own = (False, False)
        else:
            flat_MB = (index_KB + self.view_offset_K1).index_select(0, self.stream_of_M)
            x, y = inputs.flatten(0, 1)[flat_MB], targets.flatten(0, 1)[flat_MB]
            own = (True, True)
        if self.hyper.any_noise:
            x = x if own[0] else x.expand(self.stack.size, *x.shape)
            x = x + self._noise_like(x)
            own = (True, own[1])
        return x, y, own

    def _noise_like(self, x: Tensor) -> Tensor:
        noise = torch.func.vmap(normal_like)(key_of(self.hyper.seed_M, self.step_1), x)
        return noise * self.hyper.noise_M1.view(-1, *([1] * (x.dim() - 1)))

    # ---- after an epoch ------------------------------------------------------------------------------

    def _check(self, due: BoolArray) -> None:
        """Evaluate; roll back the non-finite; keep the best; let the finished leave."""
        training_M, validation_M = self._exam()
        sound_M = (
            torch.isfinite(self.loss_sum_M)
            & torch.isfinite(self.stack.params_MP.sum(1))
            & torch.isfinite(validation_M)
        )
        host = torch.stack([training_M, validation_M, sound_M.float()]).double().cpu().numpy()
        training, validation, sound = host[0], host[1], host[2] > 0.5
        if not sound.all():
            training, validation = np.where(sound, training, np.nan), np.where(sound, validation, np.nan)
        latest = due & self.keeps_last[self.alive]
        improved = self.progress.record(self.epoch, self.alive, training, validation, due, latest=latest)
        if improved.any():
            self._keep_best(improved)
        bad = due & ~sound
        if bad.any():
            self._roll_back(np.flatnonzero(bad))
        if self.n_steps * self.evaluate_every >= 8 or self.epoch % 8 == 0:
            self._remember_good(due)
        self._finish(due)
        self._let_leave()

    def _exam(self) -> tuple[Tensor, ...]:
        """Return training and validation losses (M,) of all members."""
        shapes = {sheet.shape for passes in self.exams for sheet in passes}
        if not self.trace or len(shapes) > TAPED_SHAPES[self.device.type == "cuda"]:
            return exam_losses(self.exams, partial(answered, self.program, self.stack, self.data))
        if self._taped_exam is None:
            self._taped_exam = TapedExam(self.program, self.stack, self.data, fuse=self.fuse)
        return exam_losses(self.exams, self._taped_exam)

    def _keep_best(self, improved: np.ndarray) -> None:
        rows = torch.from_numpy(np.flatnonzero(improved)).to(self.device)
        target = torch.from_numpy(self.alive[improved]).to(self.device)
        self.best_MP.index_copy_(0, target, self.stack.params_MP.index_select(0, rows))
        for name, buffer in self.stack.buffers.items():
            self.best_buffers[name].index_copy_(0, target, buffer.index_select(0, rows))

    def state_tensors(self) -> dict[str, Tensor]:
        """Return what a step changes of the members seated."""
        tensors = {
            "params": self.stack.params_MP,
            "first": self.optimizer.first_MP,
            "steps": self.optimizer.steps_M,
        }
        if self.optimizer.second_MP is not None:
            tensors["second"] = self.optimizer.second_MP
        return {**tensors, **{f"buffer.{n}": b for n, b in self.stack.buffers.items()}}

    def _remember_good(self, due: BoolArray) -> None:
        """Remember the state of the members just examined; others may be unsound unseen."""
        rows = torch.from_numpy(np.flatnonzero(due)).to(self.device)
        for name, tensor in self.state_tensors().items():
            if due.all():
                self.good[name].copy_(tensor)
            else:
                self.good[name].index_copy_(0, rows, tensor.index_select(0, rows))

    def _roll_back(self, bad: np.ndarray) -> None:
        """Restore members to their last good state with a smaller rate; give up after a few times."""
        rows = torch.from_numpy(bad).to(self.device)
        for name, tensor in self.state_tensors().items():
            tensor.index_copy_(0, rows, self.good[name].index_select(0, rows))
        self.hyper.learning_rate_M1[rows] *= ROLLBACK_FACTOR
        if not self.optimizer.uneven:
            self.optimizer.uneven = True
            self._step_tape = None
        for i in bad:
            member = int(self.alive[i])
            self.progress.rollbacks[member] += 1
            rate = float(self.hyper.learning_rate_M1[i, 0])
            again = self.progress.rollbacks[member] <= MAX_ROLLBACKS
            message = f"non-finite loss or weights in epoch {self.epoch}: last good state restored, " + (
                f"learning rate cut to {rate:.2g}" if again else "given up after repeated rollbacks"
            )
            self.progress.events.append(
                Event("rollback", self.epoch, message, member, {"learning_rate": rate})
            )
            if not again:
                self.progress.status[member] = "failed"

    def _finish(self, due: BoolArray) -> None:
        """Mark the members just examined that are through."""
        progress = self.progress
        members = self.alive[due]
        members = members[progress.training(members)]
        through = self.epoch >= self.n_epochs[members]
        patience = self.patience[members]
        waited = (patience > 0) & (self.epoch - progress.best_epoch[members] >= patience)
        progress.status[members[through]] = "done"
        progress.status[members[~through & waited]] = "stopped-early"

    def _let_leave(self) -> None:
        """Compact the bank once enough members are through."""
        staying = self.progress.training(self.alive)
        if not staying.any():
            self.alive = self.alive[:0]
        elif staying.mean() < COMPACT_BELOW:
            self.compact(np.flatnonzero(staying))

    def state_dict(self) -> dict[str, Any]:
        """Return all that the next epoch depends on: tensors (on the host) and a JSON-ready record."""
        return bank_state(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state of a bank of the same members, to the same bits.

        Raises:
            ValueError: the state is of other members.
        """
        restore_bank(self, state)

    def drop(self, members: Sequence[int]) -> None:
        """Take members (original positions) out of training: they lost a rung of the search."""
        for member in members:
            if self.progress.status[member] == "training":
                self.progress.status[member] = "dropped"
        self._let_leave()

    def compact(self, rows: np.ndarray) -> None:
        """Keep the members at ``rows`` of those seated."""
        index = torch.from_numpy(rows).to(self.device)
        self.stack = self.stack.select(index)
        self.optimizer = self.optimizer.select(index)
        self.hyper = self.hyper.select(index)
        self.multiplier_TM = self.multiplier_TM.index_select(1, index)
        self.loss_sum_M = self.loss_sum_M.index_select(0, index)
        self.seated = self.seated[rows]
        self.alive = self.seated
        self.rows = [self.rows[i] for i in rows]
        self._index_rows()
        self.good = {name: tensor.index_select(0, index) for name, tensor in self.good.items()}

    def _index_rows(self) -> None:
        """Work out streams (who reads the same batches) and exams (who is evaluated on the same rows)."""
        streams: dict[object, int] = {}
        position = [streams.setdefault(r.stream, len(streams)) for r in self.rows]
        first = [self.rows[position.index(k)] for k in range(len(streams))]
        # Streams of one length are drawn together.
        lengths = [len(r.train) for r in first]
        self.streams = [
            (
                torch.tensor([k for k, n in enumerate(lengths) if n == length], device=self.device),
                torch.from_numpy(np.stack([r.train for r in first if len(r.train) == length])).to(
                    self.device
                ),
                torch.tensor(
                    [stir(r.order_seed) for r in first if len(r.train) == length],
                    dtype=torch.int32,
                    device=self.device,
                ),
            )
            for length in dict.fromkeys(lengths)
        ]
        self.stream_view = [r.view for r in first]
        self.stream_of_M = torch.tensor(position, device=self.device)
        offsets = [[r.view * self.data.n_rows] for r in first]
        self.view_offset_K1 = torch.tensor(offsets, device=self.device)
        self.exams = exam_sheets(exam_groups(self.rows, self.device), self.data, self.rows_a_pass)
        # What changes from step to step lies in fixed places, where the tape reads and counts it.
        shape = (self.n_steps, len(first), self.batch)
        self.index_SKB = torch.zeros(shape, dtype=torch.long, device=self.device)
        self.step_1 = torch.zeros(1, dtype=torch.int32, device=self.device)
        self.step_of_epoch_1 = torch.zeros(1, dtype=torch.int32, device=self.device)
        self.scales.minus_decay(self.hyper.weight_decay_M1)
        self._step_tape = self._taped_exam = None


def _horizon(config: Config) -> int:
    """Return the epochs that a member's schedule is made for, at least those that it trains."""
    horizon = int(config.get("horizon", config.epochs))
    if horizon < config.epochs:
        raise ValueError(
            "a schedule is made for all epochs of a training, or for more (horizon), however: "
            f"{horizon} for {config.epochs}"
        )
    return horizon


def _keeps_last(config: Config) -> bool:
    """Return whether a member's last sound state is kept, and not its best."""
    keep = config.get("keep", "best")
    if keep not in ("best", "last"):
        raise ValueError(f'a member keeps its "best" state or its "last", however: {keep=}')
    return bool(keep == "last")
