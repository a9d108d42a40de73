"""A tape with fused kernels computes what the plain one does: held against it in Triton's interpreter."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest
import torch

from soundfit.bank.fusion import fused_ops, is_worth_it
from soundfit.bank.kernel import Kernel
from soundfit.bank.placement import placed
from soundfit.bank.pointwise import is_known
from soundfit.bank.recorder import record

CPU = torch.device("cpu")

# Triton's interpreter has to be chosen before Triton is imported: a process of its own.
TRAIN = """
import sys
from functools import partial

import numpy as np
import torch

import soundfit.bank.bank as bank_module
from soundfit.bank import Bank, BankData, MemberRows
from soundfit.bank.loss import resolve_loss
from soundfit.bank.program import Program
from soundfit.bank.stack import stack_modules
from soundfit.bank.tape import Tape
from soundfit.models.conv import build_picture_net
from soundfit.models.net import build
from soundfit.records import Config

M, N = 3, 32
PICTURE = (6, 6, 1)
SHARED = dict(epochs=4, batch_size=16, weight_decay=0.1, gradient_clip=0.5, l1=1e-3, schedule="cosine")
CASES = {
    "waves and mish": (dict(width=8, depth=2, options={"activation": "mish", "periodic": (0, 2)}), "mse"),
    "dropout and silu": (
        dict(width=8, depth=2, dropout=0.2, input_noise=0.1, options={"activation": "silu"}), "mse",
    ),
    "residual, gelu": (
        dict(model="resmlp", width=8, depth=2, label_smoothing=0.1, options={"activation": "gelu"}),
        "cross_entropy",
    ),
    "convolutions": (
        dict(model="cnn", width=4, depth=2, options={"shift": 0.2, "flip": 0.5, "erase": 0.5, "colour": 0.3}),
        "cross_entropy",
    ),
    "sgd": (dict(width=8, depth=1, optimizer="sgd", momentum=0.9, learning_rate=1e-2), "mse"),
}


def train(options, loss, fuse):
    bank_module.Tape = lambda function, device, **_: Tape(function, device=device, fuse=fuse)
    Program.plain_norms = fuse
    torch.manual_seed(0)
    config = Config(**{"model": "mlp", **SHARED, **options})
    pictures = config.model == "cnn"
    x = torch.randint(0, 255, (1, N, *PICTURE), dtype=torch.uint8) if pictures else torch.randn(1, N, 5)
    y = torch.randint(0, 3, (1, N)) if loss == "cross_entropy" else torch.randn(1, N, 1)
    n_outputs = 3 if loss == "cross_entropy" else 1
    make = partial(build_picture_net, shape=PICTURE) if pictures else partial(build, n_inputs=5)
    members = [make(config, n_outputs=n_outputs) for _ in range(M)]
    stack = stack_modules(members, sample=x[0, :16], device=x.device)
    rows = [MemberRows(0, np.arange(N), np.arange(8), i // 2) for i in range(M)]
    configs = [config.with_(learning_rate=config.learning_rate * (1 + i)) for i in range(M)]
    bank = Bank(stack, configs, rows, BankData(x, y), resolve_loss(loss), seeds=range(M))
    for _ in range(2):
        bank.run_epoch()
    return bank.stack.params_MP, bank.best_MP, len(bank._step_tape.calls)


for name, (options, loss) in CASES.items():
    plain, fused = (train(options, loss, fuse) for fuse in (False, True))
    for expected, found in zip(plain[:2], fused[:2]):
        assert torch.isfinite(expected).all(), name
        torch.testing.assert_close(found, expected, rtol=2e-5, atol=2e-6, msg=name)
    assert fused[2] < 0.85 * plain[2], (name, plain[2], fused[2])
"""


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="needs Triton")
def test_members_train_the_same_with_fused_kernels() -> None:
    environment = {**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", TRAIN], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


def _recorded(function):
    return record(function, CPU)


# Against torch's own: windows that do not fill the picture, strides, paddings, few and many channels, inputs
# that lie as vmap leaves them.
PICTURES = """
import torch
from soundfit.bank.picture_ops import PictureOp, substituted
from soundfit.bank.recorder import record
from soundfit.bank.tape import Tape

torch.manual_seed(0)
aten = torch.ops.aten


def check(function, n_mine=1):
    recording = record(function, torch.device("cpu"))
    mine = [op for op in substituted(recording, recording.ops) if isinstance(op.func, PictureOp)]
    assert len(mine) == n_mine, recording.ops
    expected = [t.clone() for t in function()]
    tape = Tape(function, device=torch.device("cpu"), fuse=True)
    for t in tape.outputs:
        t.fill_(float("nan") if t.is_floating_point() else -1)
    for found, t in zip(tape.replay(), expected):
        torch.testing.assert_close(found, t, rtol=1e-5, atol=1e-4, equal_nan=True)


for shape, kernel in (((2, 3, 6, 8), 2), ((2, 2, 7, 5), 2), ((1, 2, 9, 9), 3)):
    x = torch.relu(torch.randn(shape))
    check(lambda: aten.max_pool2d_with_indices(x, [kernel, kernel], [kernel, kernel]))
    check(lambda: aten.max_pool2d_with_indices(x / 0, [kernel, kernel]))
    pooled, index = aten.max_pool2d_with_indices(x, [kernel, kernel])
    grad = torch.randn_like(pooled)
    rest = ([kernel] * 2, [kernel] * 2, [0, 0], [1, 1], False, index)
    backward = aten.max_pool2d_with_indices_backward
    check(lambda: (backward(grad, x, *rest),))
for groups, inputs, outputs, size, kernel, stride, padding, bias in (
    (3, 1, 16, 12, 3, 1, 1, True), (2, 1, 5, 11, 5, 2, 2, False), (2, 1, 1, 8, 3, 1, 0, True),
    (2, 3, 4, 9, 3, 1, 1, True), (2, 3, 20, 6, 3, 2, 1, False),
):
    x = torch.randn(groups, 3, inputs, size, size).transpose(0, 1)
    x = x.reshape(3, groups * inputs, size, size)  # one channel a group: still as it lay
    weight, shift = torch.randn(groups * outputs, inputs, kernel, kernel), torch.randn(groups * outputs)
    rest = ([stride] * 2, [padding] * 2, [1, 1], False, [0, 0], groups)
    check(lambda: (aten.convolution(x, weight, shift if bias else None, *rest),))
    grad = torch.randn_like(aten.convolution(x, weight, None, *rest))
    sizes = [groups * outputs] if bias else None

    def backward():
        found = aten.convolution_backward(grad, x, weight, sizes, *rest, [False, True, bias])
        return tuple(t for t in found if t is not None)

    check(backward)

# A ReLU and pooling of members, and their gradient: one kernel, and the ReLU's result is not kept for it.
conv = torch.randn(3, 2, 4, 6, 6).transpose(0, 1)


def pooled_members():
    leaf = conv.detach().requires_grad_()
    with torch.enable_grad():
        y = torch.vmap(lambda x: torch.nn.functional.max_pool2d(torch.relu(x - 0.3), 2))(leaf)
        return torch.autograd.grad((y * y).sum(), leaf)


check(pooled_members, n_mine=2)
"""


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="needs Triton")
def test_picture_kernels_compute_what_torch_does() -> None:
    environment = {**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", PICTURES], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


def test_kernels_are_made_for_long_trainings_alone() -> None:
    # 640 nets of 23,312 parameters and 128 rows of 257 activations, as in the benchmark.
    elements = 640 * (7 * 23_312 + 6 * 128 * 257)
    assert not is_worth_it(2_000, elements)
    assert is_worth_it(20_000, elements)
    assert not is_worth_it(20_000, 1_000)


def test_neighbours_become_one_kernel_and_what_nobody_reads_is_not_stored() -> None:
    x, bias = torch.randn(3, 4, 5), torch.randn(3, 1, 5)
    recording = _recorded(lambda: (torch.relu(x + bias) * 2.0,))
    (op,) = fused_ops(recording, recording.ops)
    assert isinstance(op.func, Kernel)
    assert [r.size for r in op.args] == [(3, 1, 5), (3, 4, 5)] or [r.size for r in op.args] == [
        (3, 4, 5),
        (3, 1, 5),
    ]
    assert len(op.outs) == 1


def test_a_value_that_is_read_across_elements_is_no_part_of_the_kernel() -> None:
    x = torch.randn(4, 4)
    recording = _recorded(lambda: (((y := x * 2.0) + 1.0) + y.t(),))
    kernels = [op for op in fused_ops(recording, recording.ops) if isinstance(op.func, Kernel)]
    # y and y + 1 may share a kernel; the sum reads y's transpose and has to wait for it.
    written = kernels[0].writes
    last = fused_ops(recording, recording.ops)[-1]
    assert last.reads & written
    assert last.func is torch.ops.aten.add.Tensor


def test_a_change_in_place_stays_behind_its_readers() -> None:
    x = torch.randn(6)

    def function() -> tuple[torch.Tensor, ...]:
        before = x * 3.0
        total = before.sum()
        x.add_(1.0)
        return (x * 3.0 + total,)

    recording = _recorded(function)
    ops = fused_ops(recording, recording.ops)
    place = recording.ops[0].args[0].storage
    first_read = next(i for i, op in enumerate(ops) if place in op.reads)
    first_write = next(i for i, op in enumerate(ops) if place in op.writes)
    assert first_read <= first_write
    # The product before and the change after are separated by the sum that needs the first.
    assert sum(isinstance(op.func, Kernel) for op in ops) <= 1


def test_pieces_of_a_concatenation_go_to_their_columns() -> None:
    a, b = torch.randn(3, 4, 2), torch.randn(3, 2, 5)

    def function() -> tuple[torch.Tensor, ...]:
        product = torch.bmm(a, b)
        pieces = [product.reshape(3, 20), product.sum(1), a.new_zeros(3, 2)]
        return (torch.cat(pieces, dim=1) * 2.0,)

    recording = _recorded(function)
    live = [op for op in recording.ops if op.func is not torch.ops.aten.new_zeros.default]
    ops, wholes = placed(recording, live)
    (storage,) = wholes
    assert all(op.func is not torch.ops.aten.cat.default for op in ops)
    assert [r.stride for op in ops for r in op.outs if r.storage == storage] == [(27, 5, 1), (27, 1)]
    assert [place.offset for place, _ in wholes[storage].constants] == [25]


def test_a_piece_that_is_wanted_elsewhere_in_another_shape_stays() -> None:
    a = torch.randn(3, 4)

    def function() -> tuple[torch.Tensor, ...]:
        piece = a * 2.0
        return torch.cat([piece, a + 1.0], dim=1), piece

    recording = _recorded(function)
    ops, wholes = placed(recording, recording.ops)
    assert not wholes
    assert ops == recording.ops


@pytest.mark.parametrize(
    ("function", "known"),
    [
        (lambda x: x.clamp(0.0, 1.0), True),
        (lambda x: x > 0.5, True),
        (lambda x: torch.where(x > 0, x, 0.0 * x), True),
        (lambda x: x.to(torch.bfloat16), True),
        (lambda x: x.double(), False),
        (lambda x: x.to(torch.int64), False),
        (lambda x: x.sum(0), False),
        (lambda x: x // 2.0, False),
    ],
)
def test_what_is_not_followed_exactly_is_left_to_torch(function, known: bool) -> None:
    x = torch.randn(4)
    recording = _recorded(lambda: (function(x),))
    assert is_known(recording.ops[-1]) is known
