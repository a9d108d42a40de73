"""Where a backbone's weights are looked for, and what is said where there are none. Needs no timm."""

import importlib.util

import pytest

from soundfit.errors import UsageError
from soundfit.models import backbone_weights
from soundfit.models.backbone_weights import cached_backbone, choose_backbone, hub_folder, parse_backbone

HAS_TIMM = importlib.util.find_spec("timm") is not None


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("auto", "auto"),
        ("none", None),
        ("timm:resnet18", "resnet18"),
        ("timm:vit_tiny.augreg", "vit_tiny.augreg"),
    ],
)
def test_a_backbone_is_named_by_its_source(given, name):
    assert parse_backbone(given, None) == name


@pytest.mark.parametrize(
    "given", ["resnet18", "timm:", "hf-hub:x/y", "timm:hf-hub:x/y", "timm:local-dir:/x", "timm:../x", ""]
)
def test_nothing_but_a_name_of_timm_is_taken(given):
    with pytest.raises(UsageError, match=r"--backbone is auto, none or timm:NAME.*Fix: write for example"):
        parse_backbone(given, None)


def test_weights_without_a_backbone_are_refused():
    with pytest.raises(UsageError, match="--weights belong to a backbone"):
        parse_backbone("auto", "weights.pth")


def test_without_timm_nothing_is_chosen_unasked_and_asking_says_what_to_install(monkeypatch):
    monkeypatch.setattr(backbone_weights, "find_spec", lambda name: None)
    assert cached_backbone("cpu") is None
    with pytest.raises(UsageError, match=r"Pretrained backbones need timm.*pip install 'soundfit\[vision\]'"):
        choose_backbone("resnet18", None)


def test_the_hub_lies_where_its_variables_say(monkeypatch, tmp_path):
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert hub_folder() == tmp_path / "huggingface" / "hub"
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    assert hub_folder() == tmp_path / "home" / "hub"
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "here"))
    assert hub_folder() == tmp_path / "here"


@pytest.mark.skipif(not HAS_TIMM, reason="timm is not installed")
def test_weights_are_found_in_the_cache_and_a_file_goes_before_it(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    with pytest.raises(UsageError, match="soundfit fetches none"):
        choose_backbone("test_resnet", None)
    assert cached_backbone("cpu") is None
    sizes = {"test_resnet.r160_in1k": 10, "test_vit.r160_in1k": 20, "no_such_net": 30}
    for name, size in sizes.items():
        snapshot = tmp_path / "hub" / f"models--timm--{name}" / "snapshots" / "abc"
        snapshot.mkdir(parents=True)
        (snapshot / "model.safetensors").write_bytes(b"x" * size)
        (snapshot.parents[1] / "refs").mkdir()
        (snapshot.parents[1] / "refs" / "main").write_text("abc")
    found = choose_backbone("test_resnet", None)
    assert (found.name, found.weights.stat().st_size) == ("test_resnet", 10)
    largest = cached_backbone("cpu")
    assert largest is not None
    assert largest.name == "test_vit.r160_in1k"
    own = tmp_path / "own.pth"
    own.write_bytes(b"")
    assert choose_backbone("test_resnet", str(own)).weights == own
    with pytest.raises(UsageError, match="does not exist"):
        choose_backbone("test_resnet", str(tmp_path / "gone.pth"))
    with pytest.raises(UsageError, match=r"did you mean 'test_resnet'"):
        choose_backbone("test_resnt", None)
