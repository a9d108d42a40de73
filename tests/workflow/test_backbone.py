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
from soundfit.bank import chunk_run, train_members
from soundfit.data.picture_cache import CACHE_VARIABLE
from soundfit.data.picture_split import split_pictures
from soundfit.data.pictures import read_pictures
from soundfit.errors import StopError, UsageError
from soundfit.models import backbone as models_backbone
from soundfit.study import backbone as study_backbone
from soundfit.study import pictures as study_pictures
from soundfit.study.backbone import tuned_configurations
from soundfit.study.cross_validation import Hooks, cross_validate_views
from soundfit.study.solved import Solving
from soundfit.workflow.exam import exam_run
from soundfit.workflow.inquiry import Deadlines
from soundfit.workflow.pictures import _few

timm = pytest.importorskip("timm")

from soundfit.models.backbone import Backbone, TunedNet, backbone_features, build_head  # noqa: E402
from soundfit.models.grad_cam import grad_cam, with_maps  # noqa: E402
from soundfit.records import Config, StudyResult  # noqa: E402

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


class Killed(BaseException):
    """Stands for kill -9: nothing in soundfit catches it, so nothing is tidied up."""


@pytest.mark.slow
def test_a_tuning_that_was_killed_goes_on_to_the_same_run(folder, weights, tmp_path, monkeypatch):
    def short(head, cost, folds, device):
        return (head.with_(model="tuned", epochs=2, learning_rate=0.002, batch_size=16),)

    monkeypatch.setattr(study_backbone, "tuned_configurations", short)
    monkeypatch.setenv("SOUNDFIT_LEDGER", str(tmp_path / "ledger.sqlite"))
    given = {"backbone": f"timm:{NET}", "weights": weights, "folds": 2}
    whole = sf.train(folder, **given, out=tmp_path / "whole")
    assert whole.result.configurations[-1].model == "tuned"
    # A ledger of its own: each run opens the seal once.
    monkeypatch.setenv("SOUNDFIT_LEDGER", str(tmp_path / "ledger2.sqlite"))
    monkeypatch.setattr(chunk_run, "SAVE_SECONDS", 0.0)

    def dying_while_tuning():
        left = 2
        save = chunk_run.save_state

        def save_state(state, path):
            nonlocal left
            save(state, path)
            # States of the net itself are large, those of heads are small.
            left -= sum(t.numel() for t in state["tensors"].values()) > 1_000_000
            if left == 0:
                raise Killed

        return save_state

    with monkeypatch.context() as patch:
        patch.setattr(chunk_run, "save_state", dying_while_tuning())
        with pytest.raises(Killed):
            sf.train(folder, **given, out=tmp_path / "run")
    other = tmp_path / "other.pth"
    state = torch.load(weights, weights_only=True)
    torch.save({name: 1.5 * t if t.is_floating_point() else t for name, t in state.items()}, other)
    shutil.copy(weights, tmp_path / "kept.pth")
    shutil.copy(other, weights)
    with pytest.raises(UsageError, match="the data's weights was"):
        sf.train(folder, **given, out=tmp_path / "run", resume=True)
    shutil.copy(tmp_path / "kept.pth", weights)
    sf.train(folder, **given, out=tmp_path / "run", resume=True)
    a, b = (json.loads((tmp_path / name / "run.json").read_text()) for name in ("whole", "run"))
    for part in ("data", "split", "cv", "chosen", "baselines", "curves", "verdict", "exam", "final"):
        assert a[part] == b[part], part
    for name in ("predictions.parquet", "members.parquet", "trace.parquet", "model/model.safetensors"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "run" / name).read_bytes(), name
    assert not (tmp_path / "run" / ".resume").exists()


def _reading(folder, weights, **given):
    pictures = read_pictures(folder)
    backbone = Backbone(NET, pictures.pixels.shape[1:], weights=weights)
    return study_backbone.Reading(backbone, pictures, torch.device("cpu"), **given)


def test_each_picture_is_read_once_and_others_stay_zero(folder, weights):
    told = []
    reading = _reading(folder, weights, on_total=told.append)
    some, more = np.arange(0, 20), np.arange(10, 40)
    first = reading.features(some)
    second = reading.features(more)
    assert told == [20, 20]
    assert np.abs(first[20:]).max() == 0.0
    assert np.abs(second[:10]).max() == np.abs(second[40:]).max() == 0.0
    np.testing.assert_array_equal(first[10:20], second[10:20])
    whole = backbone_features(reading.backbone, reading.pictures.pixels, np.arange(60), torch.device("cpu"))
    np.testing.assert_allclose(second[10:40], whole[10:40], atol=1e-5)
    assert reading.seconds_a_picture > 0


def test_reading_ends_where_the_time_does_not_suffice(folder, weights, monkeypatch, tmp_path):
    monkeypatch.setattr(models_backbone, "_ELEMENTS_A_PASS", 8 * 3 * 128 * 128)
    reading = _reading(folder, weights, seconds_left=lambda: 1e-9)
    with pytest.raises(StopError, match=r"8 of 60 pictures read, at .* s a picture"):
        reading.features(np.arange(60))
    with pytest.raises(StopError, match="longer --budget"):
        sf.train(folder, backbone=f"timm:{NET}", weights=weights, budget="0.01", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_under_a_budget_the_net_is_tuned_as_far_as_time_is_likely_to_last(folder, weights, monkeypatch):
    trained = []

    def study(views, configurations, *, seeds, device, hooks):
        trained.append(len(configurations))
        raise ValueError

    def tuned(left):
        trained.clear()
        hooks = Hooks(seconds_left=None if left is None else lambda: left)
        study_backbone.tune(views, run, reading.pictures, plan, reading, seed=0, device=device, hooks=hooks)
        return sum(trained)

    device = torch.device("cpu")
    reading = _reading(folder, weights)
    plan = split_pictures(reading.pictures, folds="2").plan
    views = study_backbone.head_views(reading.pictures, plan, reading)
    heads = [c for c in views.configurations("auto") if c.model == "linear"]
    run = cross_validate_views(views, heads, hooks=Hooks(train=Solving(train_members)))
    monkeypatch.setattr(study_backbone, "cross_validate_views", study)
    monkeypatch.setattr(study_backbone, "ALLOWANCE", {"cpu": 1e15})
    reading.seconds_a_picture = 0.1
    # Two folds, ten epochs of 24 training pictures, three passes each: some 200 s with two cores.
    assert tuned(None) == 2
    assert tuned(1e6) == 2
    assert tuned(10.0) == 0
    one = next(left for left in range(10, 2000, 10) if tuned(float(left)) == 1)
    assert 100 <= one <= 700
    assert tuned(2.2 * one) == 2


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


def _result(scores, on_backbone, parameters, chosen):
    configs = tuple(Config(options={"backbone": NET} if on else {}) for on in on_backbone)
    scores_CK = np.array(scores)
    return StudyResult(
        "cv",
        "log_loss",
        False,
        configs,
        parameters,
        (),
        scores_CK,
        scores_CK,
        chosen,
        "",
        1,
        0.0,
        None,
        {},
    )


@pytest.mark.parametrize(
    ("head", "scratch", "chosen", "said"),
    [
        (
            [0.5, 0.6],
            [0.9, 1.0],
            0,
            "validates better than nets trained from scratch: log-loss 0.55 against 0.95",
        ),
        ([0.9, 1.1], [0.5, 0.6], 1, "The backbone is not used."),
        ([0.5, 1.0], [0.6, 0.8], 0, "The head on the backbone was chosen"),
        ([0.6, 0.8], [0.5, 1.0], 1, "A net from scratch was chosen"),
    ],
)
def test_a_run_says_whether_the_backbone_was_worth_it(head, scratch, chosen, said):
    result = _result([head, scratch, [9.0, np.nan]], [True, False, False], (10, 20, 30), chosen)
    beside = study_backbone.against_scratch(result, f"timm:{NET}")
    assert said in beside["text"]
    assert beside["used"] == (chosen == 0)
    assert beside["se"] == pytest.approx(np.std(np.subtract(head, scratch), ddof=1) / 2**0.5)
    assert study_backbone.against_scratch(_result([head], [True], (10,), 0), "n") is None
    without = study_backbone.against_scratch(_result([scratch], [False], (10,), 0), "n")
    assert not without["used"]
    assert "no time" in without["text"]


def test_a_backbone_far_behind_nets_from_scratch_is_not_tuned():
    far = _result([[0.9, 1.0], [0.2, 0.31]], [True, False], (10, 20), 1)
    assert study_backbone._chosen_head(far) is None
    near = _result([[0.9, 0.4], [0.2, 0.5]], [True, False], (10, 20), 1)
    assert study_backbone._chosen_head(near) == 0


def test_pictures_of_a_given_exam_do_not_count_as_many(tmp_path):
    for role, n in (("train", 9), ("test", 90)):
        write_folder(tmp_path / role, n, seed=n)
    assert _few(read_pictures(tmp_path))
    write_folder(tmp_path / "train", 90)
    assert not _few(read_pictures(tmp_path))


def test_few_pictures_take_a_backbone_that_is_there(folder, weights, monkeypatch, tmp_path):
    snapshot = tmp_path / f"models--timm--{NET}.r160_in1k" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    shutil.copy(weights, snapshot / "pytorch_model.bin")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(study_backbone, "ALLOWANCE", {"cpu": 0.0})

    def small(n_train, shape, **_):
        base = Config(batch_size=16, epochs=4, learning_rate=0.02)
        linear = base.with_(model="linear", width=0, depth=0, learning_rate=0.002)
        return (linear, base.with_(model="cnn", width=6, depth=2))

    monkeypatch.setattr(study_pictures, "picture_configurations", small)
    with monkeypatch.context() as patch:
        patch.setattr(models_backbone, "_ELEMENTS_A_PASS", 8 * 3 * 128 * 128)
        patch.setattr(Deadlines, "training_left", lambda self: 1e-9)
        late = sf.train(folder, folds=2, keep_sealed=True, out=tmp_path / "late")
    assert "no time" in late.document["data"]["backbone"]["beside"]["text"]
    assert sf.load(tmp_path / "late").backbone is None
    chosen = sf.train(folder, folds=2, keep_sealed=True, out=tmp_path / "run")
    backbone = chosen.document["data"]["backbone"]
    assert backbone["name"] == f"timm:{NET}.r160_in1k"
    # Nets from scratch were there to be chosen, and the page says which of both it was, and why.
    models = {c.model for c in chosen.result.configurations if not c.get("backbone")}
    assert {"linear", "cnn"} <= models
    assert backbone["beside"]["used"] == bool(chosen.result.chosen_config.get("backbone"))
    assert backbone["beside"]["text"].split(":")[0] in (tmp_path / "run" / "report.html").read_text()
    loaded = sf.load(tmp_path / "run")
    assert (loaded.backbone is not None) == backbone["beside"]["used"]
    pixels = loaded.read(folder).pixels
    np.testing.assert_allclose(loaded.outputs(pixels), chosen.predictor.outputs(pixels), atol=1e-6)
    refused = sf.train(folder, folds=2, keep_sealed=True, backbone="none", model="linear")
    assert "backbone" not in refused.document["data"]
    with pytest.raises(UsageError, match="A backbone comes with heads of its own"):
        sf.train(folder, backbone=f"timm:{NET}", model="cnn")
