"""Pictures on a pretrained backbone: features once, heads in the bank, the whole net where it pays."""

import json
import shutil
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import torch

import soundfit as sf
from shapes import NAMES, shape_set, write_folder
from soundfit.artifact import PicturePredictor
from soundfit.data.picture_cache import CACHE_VARIABLE
from soundfit.errors import UsageError
from soundfit.study import backbone as study_backbone
from soundfit.study.backbone import tuned_configurations
from soundfit.workflow.exam import exam_run

timm = pytest.importorskip("timm")

from soundfit.models.backbone import Backbone, TunedNet, build_head  # noqa: E402
from soundfit.models.grad_cam import grad_cam, with_maps  # noqa: E402
from soundfit.records import Config  # noqa: E402

NET = "test_resnet"


@pytest.fixture(autouse=True, scope="module")
def _own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(tmp_path_factory.mktemp("cache")))
        patch.setenv("HF_HUB_CACHE", str(tmp_path_factory.mktemp("hub")))
        yield


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Random weights: even those make features of shapes that a linear map can tell apart."""
    path = tmp_path_factory.mktemp("weights") / "weights.pth"
    with torch.random.fork_rng():
        torch.manual_seed(3)
        torch.save(timm.create_model(NET, pretrained=False).state_dict(), path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("pictures") / "p", 60, size=32, channels=3)


@pytest.fixture(scope="module")
def run(folder, weights, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study_backbone, "ALLOWANCE", {"cpu": 0.0})
        out = tmp_path_factory.mktemp("runs") / "run"
        return sf.train(folder, backbone=f"timm:{NET}", weights=weights, folds=2, keep_sealed=True, out=out)


def test_heads_on_frozen_features_learn(run, request):
    document = json.loads((run.path / "run.json").read_text())
    jsonschema.validate(document, json.loads((request.path.parent / "run_schema.json").read_text()))
    assert document["data"]["backbone"]["name"] == f"timm:{NET}"
    assert document["chosen"]["model"] in ("linear", "mlp")
    assert document["cv"]["value"] < 0.7 * document["baselines"][0]["value"]


def test_the_saved_model_holds_the_backbone_once_and_predicts_the_same(run, folder):
    loaded = sf.load(run.path)
    assert isinstance(loaded, PicturePredictor)
    assert loaded.backbone is not None
    expected = run.predict(folder)
    np.testing.assert_allclose(
        loaded.predict(folder)[[f"probability_{c}" for c in NAMES]],
        expected[[f"probability_{c}" for c in NAMES]],
        atol=1e-6,
    )
    right = expected["prediction"] == expected["file"].str.split("/").str[0]
    assert right.mean() > 0.7
    size = (run.path / "model" / "model.safetensors").stat().st_size
    n = sum(t.numel() for t in loaded.backbone.state_dict().values())
    assert size < 1.5 * 4 * n + 100_000


def test_the_exam_of_a_backbone_opens_the_sealed_pictures(run, tmp_path):
    shutil.copytree(run.path, tmp_path / "run")
    document, _ = exam_run(tmp_path / "run")
    assert document["exam"]["rows"] == len(run.plan.test)


def test_a_forged_name_never_reaches_timm(run, tmp_path):
    shutil.copytree(run.path / "model", tmp_path / "model")
    path = tmp_path / "model" / "model.json"
    described = json.loads(path.read_text())
    described["backbone"] = described["config"]["options"]["backbone"] = "hf-hub:somebody/net"
    path.write_text(json.dumps(described))
    with pytest.raises(UsageError, match="timm:NAME"):
        sf.load(tmp_path)


def test_sealed_pictures_change_no_head(weights, tmp_path):
    pictures, codes = shape_set(45, size=16)
    np.savez(tmp_path / "clean.npz", images=pictures, labels=codes)
    given = {"backbone": f"timm:{NET}", "weights": weights, "folds": 2, "keep_sealed": True}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study_backbone, "ALLOWANCE", {"cpu": 0.0})
        clean = sf.train(tmp_path / "clean.npz", **given)
        poisoned = pictures.copy()
        poisoned[clean.plan.test] = 255 - poisoned[clean.plan.test]
        np.savez(tmp_path / "poisoned.npz", images=poisoned, labels=codes)
        other = sf.train(tmp_path / "poisoned.npz", **given)
    for a, b in zip(clean.predictor.modules, other.predictor.modules, strict=True):
        for left, right in zip(a.state_dict().values(), b.state_dict().values(), strict=True):
            assert torch.equal(left, right)


@pytest.mark.slow
def test_the_whole_net_joins_the_study_and_starts_from_the_head(folder, weights, tmp_path):
    """A learning rate of 0 leaves what the head said: the tuned net is the frozen one."""

    def unmoved(head, cost, folds, device):
        return (head.with_(model="tuned", epochs=1, learning_rate=0.0),)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study_backbone, "tuned_configurations", unmoved)
        run = sf.train(
            folder, backbone=f"timm:{NET}", weights=weights, folds=2, keep_sealed=True, out=tmp_path / "run"
        )
    configurations = run.result.configurations
    assert configurations[-1].model == "tuned"
    last = configurations[-1]

    def head_of(config):
        return config.with_(model=last.model, epochs=last.epochs, learning_rate=last.learning_rate)

    heads = [i for i, c in enumerate(configurations[:-1]) if head_of(c) == last]
    differences = np.abs(run.result.scores_CK[heads] - run.result.scores_CK[-1]).max(axis=1)
    assert differences.min() < 1e-4


@pytest.mark.slow
def test_a_tuned_model_is_saved_and_loaded(folder, weights, tmp_path):
    def strong(head, cost, folds, device):
        return (head.with_(model="tuned", epochs=4, learning_rate=0.02, batch_size=8),)

    def choose_last(scores_CK, *args, **kwargs):
        made = study_backbone_rule(scores_CK, *args, **kwargs)
        return type(made)(len(scores_CK) - 1, made.best, made.rule)

    from soundfit.study import prescriptions

    study_backbone_rule = prescriptions.one_se_rule
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study_backbone, "tuned_configurations", strong)
        patch.setattr(prescriptions, "one_se_rule", choose_last)
        run = sf.train(
            folder, backbone=f"timm:{NET}", weights=weights, folds=2, keep_sealed=True, out=tmp_path / "run"
        )
    assert run.document["chosen"]["model"] == "tuned"
    assert isinstance(run.predictor.modules[0], TunedNet)
    loaded = sf.load(tmp_path / "run")
    pixels = run.predictor.read(folder).pixels
    np.testing.assert_allclose(loaded.outputs(pixels), run.predictor.outputs(pixels), atol=1e-6)


def test_norms_keep_their_statistics_while_the_net_is_tuned():
    net = TunedNet(Backbone(NET, (16, 16, 1)), build_head(Config(model="linear", depth=0), 96, 2))
    before = {n: b.clone() for n, b in net.named_buffers()}
    net.train()(torch.randint(0, 255, (4, 16, 16, 1), dtype=torch.uint8)).sum().backward()
    assert all(torch.equal(b, before[n]) for n, b in net.named_buffers())
    assert all(p.grad is not None for p in net.parameters())


def test_what_is_tuned_fits_the_allowance():
    head = Config(model="linear", depth=0)
    assert len(tuned_configurations(head, 1e9, 5, "cpu")) == 2
    assert len(tuned_configurations(head, 4e10, 5, "cpu")) == 1
    assert tuned_configurations(head, 1e12, 5, "cpu") == ()


def test_grey_and_small_pictures_are_shown_in_colour_and_larger():
    grey = Backbone(NET, (20, 10, 1)).eval()
    assert grey.size == (80, 40)
    pixels = torch.randint(0, 255, (2, 20, 10, 1), dtype=torch.uint8)
    coloured = Backbone(NET, (20, 10, 3)).eval()
    coloured.load_state_dict(grey.state_dict())
    assert torch.allclose(grey(pixels), coloured(pixels.expand(2, 20, 10, 3)), atol=1e-4)
    assert Backbone("test_vit", (64, 48, 3)).size == (160, 160)


def test_what_a_head_looked_at_is_seen_through_the_backbone():
    """Of a net that only adds up its maps, the map is where the picture makes them large."""
    backbone = Backbone(NET, (40, 40, 1)).eval().requires_grad_(False)
    head = build_head(Config(model="linear", depth=0), backbone.n_features, 2)
    with torch.no_grad():
        head.body.output.weight[1] = 1.0
    net = with_maps(head, backbone)
    picture = torch.zeros(1, 40, 40, 1, dtype=torch.uint8)
    picture[:, :20, :20] = torch.randint(0, 255, (1, 20, 20, 1), dtype=torch.uint8)
    before = backbone(picture)
    heat = grad_cam(net, picture, torch.tensor([1]))[0]
    assert heat.shape == (40, 40)
    assert 0.0 <= heat.min() <= heat.max() <= 1.0
    with torch.no_grad():
        maps = torch.relu(backbone.net.forward_features(backbone.scaled(picture))).sum(1, keepdim=True)
    expected = torch.nn.functional.interpolate(maps, size=(40, 40), mode="bilinear", align_corners=False)[
        0, 0
    ]
    assert torch.allclose(heat, expected / expected.max(), atol=1e-4)
    assert not any(p.requires_grad for p in backbone.parameters())
    assert torch.equal(backbone(picture), before)
    assert (
        with_maps(build_head(Config(model="linear", depth=0), 64, 2), Backbone("test_vit", (16, 16, 1)))
        is None
    )


def test_weights_of_another_net_are_refused(weights, tmp_path):
    with pytest.raises(UsageError, match=r"--weights are those of the backbone, here timm's test_vit"):
        Backbone("test_vit", (16, 16, 1), weights=weights)
    part = {k: v for k, v in torch.load(weights, weights_only=True).items() if "layer2" not in k}
    torch.save(part, tmp_path / "part.pth")
    with pytest.raises(UsageError, match=r"it lacks|Missing"):
        Backbone(NET, (16, 16, 1), weights=Path(tmp_path / "part.pth"))


def test_few_pictures_take_a_backbone_that_is_there(folder, weights, monkeypatch, tmp_path):
    snapshot = tmp_path / f"models--timm--{NET}.r160_in1k" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    shutil.copy(weights, snapshot / "pytorch_model.bin")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(study_backbone, "ALLOWANCE", {"cpu": 0.0})
    chosen = sf.train(folder, folds=2, keep_sealed=True)
    assert chosen.document["data"]["backbone"]["name"] == f"timm:{NET}.r160_in1k"
    refused = sf.train(folder, folds=2, keep_sealed=True, backbone="none", model="linear")
    assert "backbone" not in refused.document["data"]
    with pytest.raises(UsageError, match="A backbone comes with heads of its own"):
        sf.train(folder, backbone=f"timm:{NET}", model="cnn")
