"""A finished model computes elsewhere for a while and comes back, whatever happens there."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from soundfit.artifact.on_device import device_of, on_device
from soundfit.artifact.picture_predictor import build_picture_predictor
from soundfit.models.conv import build_picture_net
from soundfit.records import Config

CONFIG = Config(model="resnet", width=4, depth=1)
PIXELS = np.random.default_rng(0).integers(0, 255, (7, 12, 12, 1), dtype=np.uint8)


def _predictor():
    states = []
    for seed in range(2):
        torch.manual_seed(seed)
        states.append(build_picture_net(CONFIG, (12, 12, 1), 3).state_dict())
    return build_picture_predictor(
        CONFIG,
        states,
        shape=(12, 12, 1),
        scales=(),
        task="classification",
        target="class",
        classes=["a", "b", "c"],
    )


def _devices(predictor):
    return {device_of(module).type for module in predictor.modules}


def test_nets_are_there_in_the_block_and_back_behind_it(monkeypatch):
    went = []
    to = torch.nn.Module.to
    # No second device is at hand: what is asked of the nets is noted, and they stay.
    monkeypatch.setattr(
        torch.nn.Module, "to", lambda net, where: (went.append(str(where)), to(net, "cpu"))[1]
    )
    predictor = _predictor()
    before = predictor.outputs(PIXELS)

    def interrupted():
        with on_device(predictor, torch.device("cuda", 1)):
            assert went == ["cuda:1", "cuda:1"]
            np.testing.assert_allclose(predictor.outputs(PIXELS), before)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert went[2:] == ["cpu", "cpu"]


def test_on_a_cpu_nothing_moves(monkeypatch):
    monkeypatch.delattr(torch.nn.Module, "to")
    with on_device(_predictor(), torch.device("cpu")):
        pass


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_outputs_are_the_same_on_a_gpu():
    predictor = _predictor()
    before = predictor.outputs(PIXELS)
    with on_device(predictor, torch.device("cuda")):
        assert _devices(predictor) == {"cuda"}
        np.testing.assert_allclose(predictor.outputs(PIXELS), before, rtol=1e-4, atol=1e-5)
    assert _devices(predictor) == {"cpu"}
