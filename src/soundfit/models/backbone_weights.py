"""Backbone weights: where pretrained weights lie on this machine. Fetches nothing, reads no weights."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch

from soundfit.errors import UsageError, did_you_mean
from soundfit.records.said import say

__all__ = ["BackboneChoice", "cached_backbone", "choose_backbone", "parse_backbone"]

#: Files of a hub's folder that hold all weights, in the order in which they are looked for.
_FILES = ("model.safetensors", "pytorch_model.bin")
_REPOSITORY = "models--timm--"
#: Largest file that is taken without being asked for, by device: cost grows with the weights.
_MOST_BYTES = {"cpu": 130_000_000, "cuda": 1_500_000_000}
_ENDINGS = (".safetensors", ".pth", ".pt", ".bin")


@dataclass(frozen=True)
class BackboneChoice:
    """A net of timm by its name, and the file of its weights."""

    name: str
    weights: Path


def parse_backbone(backbone: str, weights: str | None) -> str | None:
    """Return the name in ``timm:NAME``, ``"auto"``, or None for ``none``.

    Raises:
        UsageError: it is none of these, or ``weights`` go with nothing.
    """
    if backbone in ("auto", "none"):
        if weights is not None:
            raise UsageError(
                "--weights belong to a backbone",
                received=say("--weights {weights} without --backbone timm:NAME", weights=weights),
                fix="name the net that they are of, such as --backbone timm:resnet18",
            )
        return "auto" if backbone == "auto" else None
    source, _, name = backbone.partition(":")
    # Only a name of timm's own list: "hf-hub:…" and paths would fetch or run what somebody else wrote.
    if source != "timm" or not name.replace(".", "").replace("_", "").isalnum():
        raise UsageError(
            "--backbone is auto, none or timm:NAME, a net of timm",
            received=repr(backbone),
            fix="write for example --backbone timm:resnet18 --weights FILE",
        )
    return name


def choose_backbone(name: str, weights: str | None) -> BackboneChoice:
    """Return a named net with its weights: the file given, or what a cache of this machine holds.

    Raises:
        UsageError: timm is not installed, there is no net of that name, or its weights are not here.
    """
    need_timm(f"--backbone timm:{name}")
    known_name(name)
    if weights is not None:
        path = Path(weights)
        if not path.is_file() or path.suffix not in _ENDINGS:
            raise UsageError(
                say("--weights is a file of weights ({list})", list=", ".join(_ENDINGS)),
                received=say(
                    "{weights}, which {value}",
                    weights=weights,
                    value=say("is none") if path.exists() else say("does not exist"),
                ),
                fix="check the path",
            )
        return BackboneChoice(name, path)
    found = {_stem(folder): file for folder, file in _cached()}
    mine = sorted(stem for stem in found if stem == name or stem.split(".")[0] == name)
    if mine:
        return BackboneChoice(name, found[name if name in mine else mine[0]])
    file = _in_torch_hub(name)
    if file is not None:
        return BackboneChoice(name, file)
    raise UsageError(
        "A backbone's weights lie on this machine: soundfit fetches none",
        received=say(
            "no weights of {name!r} in {hub_folder} or {value}",
            name=name,
            hub_folder=hub_folder(),
            value=Path(torch.hub.get_dir()) / "checkpoints",
        ),
        fix=say(
            'add --weights FILE, or fetch them once where there is a network: python -c "import '
            "timm; timm.create_model('{name}', pretrained=True)\"",
            name=name,
        ),
    )


def cached_backbone(device: str) -> BackboneChoice | None:
    """Return the largest cached net of timm that this kind of device can afford; None without timm or any."""
    if find_spec("timm") is None:
        return None
    most = _MOST_BYTES.get(device, _MOST_BYTES["cpu"])
    found = [(file.stat().st_size, _stem(folder), file) for folder, file in _cached()]
    usable = [(size, name, file) for size, name, file in found if size <= most and is_known(name)]
    if not usable:
        return None
    _, name, file = max(usable)
    return BackboneChoice(name, file)


def need_timm(for_what: str) -> None:
    """Check that timm can be imported.

    Raises:
        UsageError: it is not installed.
    """
    if find_spec("timm") is None:
        raise UsageError(
            "Pretrained backbones need timm",
            received=say("{for_what} without it", for_what=for_what),
            fix="pip install 'soundfit[vision]'",
        )


def known_name(name: str) -> None:
    """Check that timm knows a net.

    Raises:
        UsageError: it does not.
    """
    import timm

    if not is_known(name):
        raise UsageError(
            "A backbone is a net that timm knows",
            received=repr(name),
            fix=did_you_mean(name.split(".")[0], timm.list_models()),
        )


def is_known(name: str) -> bool:
    """Return whether timm has a net of that name, with or without the tag of its weights."""
    import timm

    return bool(timm.is_model(name.split(".")[0]))


def hub_folder() -> Path:
    """Return where the Hugging Face hub keeps what was fetched."""
    for variable, below in (("HF_HUB_CACHE", ""), ("HUGGINGFACE_HUB_CACHE", ""), ("HF_HOME", "hub")):
        if os.environ.get(variable):
            return Path(os.environ[variable]) / below
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "huggingface" / "hub"


def _cached() -> Iterator[tuple[Path, Path]]:
    """Yield each repository of timm in the hub's cache that holds weights, and their file."""
    for folder in sorted(hub_folder().glob(f"{_REPOSITORY}*")):
        reference = folder / "refs" / "main"
        snapshots = sorted((folder / "snapshots").glob("*"))
        if reference.is_file():
            named = folder / "snapshots" / reference.read_text(encoding="utf-8").strip()
            snapshots = [named, *(s for s in snapshots if s != named)]
        for file in (snapshot / name for snapshot in snapshots for name in _FILES):
            if file.is_file():
                yield folder, file
                break


def _stem(folder: Path) -> str:
    return folder.name.removeprefix(_REPOSITORY)


def _in_torch_hub(name: str) -> Path | None:
    import timm

    config = timm.get_pretrained_cfg(name, allow_unregistered=True)
    url = getattr(config, "url", None)
    file = Path(torch.hub.get_dir()) / "checkpoints" / str(url).rpartition("/")[2]
    return file if url and file.is_file() else None
