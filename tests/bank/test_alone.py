"""Members alone: the plain path gives the numbers of the batched one; mixtures weigh both targets."""

import numpy as np
import pytest
import torch

from soundfit.bank import BankData, MemberRows, MixedCrossEntropy, train_members
from soundfit.bank.alone import AloneProgram
from soundfit.bank.chunk import activation_elements
from soundfit.bank.evaluation import rows_in_a_pass
from soundfit.bank.loss import cross_entropy, resolve_loss
from soundfit.bank.program import Program
from soundfit.bank.stack import stack_modules
from soundfit.models.conv import build_picture_net
from soundfit.models.net import Mlp
from soundfit.records import Config

SHAPE = (8, 8, 1)
CPU = torch.device("cpu")


def data(n=60, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % classes
    x = rng.integers(0, 120, (n, *SHAPE), dtype=np.uint8)
    x[:, 2:6, 2:6, 0] += (60 * y).astype(np.uint8)[:, None, None]
    return BankData(torch.from_numpy(x)[None], torch.from_numpy(y)[None])


def net(config):
    return build_picture_net(config, SHAPE, 3)


def test_gradients_losses_and_exams_equal_those_of_the_batched_program():
    config = Config(model="cnn", width=4, depth=2, options={"shift": 0.2, "mixup": 0.5})
    torch.manual_seed(1)
    modules = [net(config) for _ in range(2)]
    d = data()
    x, y = d.inputs_VN[0, :16], d.targets_VN[0, :16]
    stack = stack_modules(modules, sample=x, device=torch.device("cpu"))
    loss = resolve_loss(MixedCrossEntropy(3))
    args = (tuple(stack.views().values()), tuple(stack.buffers.values()), x, y)
    fast = Program(stack, loss).step(*args, None, own=(False, False))
    slow = AloneProgram(stack, loss).step(*args, None, own=(False, False))
    torch.testing.assert_close(slow[0], fast[0], rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(slow[1], fast[1])
    for a, b in zip(slow[2], fast[2], strict=True):
        torch.testing.assert_close(a, b)
    weights = torch.rand(2, 2, 16)
    exams = [p(stack, loss).exam(*args, weights, own=(False, False)) for p in (Program, AloneProgram)]
    torch.testing.assert_close(exams[0], exams[1])


def test_convolutional_members_train_alone_and_learn_the_same_whoever_is_beside_them(device):
    if device.type != "cpu":
        pytest.skip("on a GPU they train side by side")
    configs = [
        Config(model="cnn", width=4, depth=2, epochs=20, batch_size=16, learning_rate=r) for r in (0.01, 0.02)
    ]
    rows = [MemberRows(0, np.arange(45), np.arange(45, 60), 0)] * 2
    both = train_members(net, configs, rows, data(), seeds=[0, 1], loss=MixedCrossEntropy(3), workers=2)
    one = train_members(net, configs[1:], rows[1:], data(), seeds=[1], loss=MixedCrossEntropy(3))[0]
    assert torch.equal(both[1].validation_outputs, one.validation_outputs)
    assert both[0].validation_loss < 0.7


def test_a_mixture_is_weighed_by_its_shares():
    torch.manual_seed(0)
    logits, y, share = torch.randn(5, 3), torch.tensor([0, 1, 2, 0, 1]), torch.rand(5)
    loss = MixedCrossEntropy(3)
    each = torch.nn.functional.cross_entropy
    expected = (
        share * each(logits, y, reduction="none") + (1 - share) * each(logits, y.roll(1), reduction="none")
    ).mean()
    mixed = torch.cat([logits, share[:, None]], 1)
    assert float(loss(mixed, y, None)) == pytest.approx(float(expected), rel=1e-5)
    whole = torch.cat([logits, torch.ones(5, 1)], 1)
    smooth = torch.tensor(0.1)
    assert float(loss(whole, y, smooth)) == pytest.approx(float(cross_entropy(logits, y, smooth)), rel=1e-5)
    assert float(loss(logits, y, smooth)) == pytest.approx(float(cross_entropy(logits, y, smooth)))


def test_fewer_rows_a_pass_where_rows_make_many_activations():
    small = Mlp(64, 3, width=32, depth=2)
    assert rows_in_a_pass(activation_elements(small, torch.zeros(1, 64)), CPU) == 2048
    large = build_picture_net(Config(model="cnn", width=32, depth=3), (32, 32, 3), 3)
    elements = activation_elements(large, torch.zeros(1, 32, 32, 3, dtype=torch.uint8))
    assert 32 <= rows_in_a_pass(elements, CPU) < 512
