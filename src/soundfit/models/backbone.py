"""Backbone: a pretrained net of timm that turns pictures into features, heads on them, and both as one net.

Frozen, a backbone reads each picture once and heads train on its features by the hundred; tuned, all of it
trains. Knows no caches and fetches nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from soundfit.errors import UsageError
from soundfit.models.augment import AUGMENTATIONS, PictureAugment
from soundfit.models.backbone_weights import known_name, need_timm
from soundfit.models.conv import passed_multiply_adds
from soundfit.models.net import Linear, Mlp
from soundfit.records import Config
from soundfit.records.said import say

__all__ = [
    "Backbone",
    "FeatureHead",
    "TunedNet",
    "backbone_features",
    "backbone_multiply_adds",
    "build_head",
    "native_side",
    "tuned_augment",
]

Shape = tuple[int, int, int]
# Small pictures are enlarged so many times at most: beyond that there is nothing more to see.
_MOST_ENLARGED = 4
_ELEMENTS_A_PASS = 16 * 3 * 224 * 224
# The pretrained part moves with care, the head at the full rate.
_CARE = 0.1


class Backbone(nn.Module):
    """A net of timm without its classifier: bytes in, features out.

    Small pictures are enlarged, up to four times, towards the size that the net was trained on; a net that
    reads one size alone gets that size. Grey is shown as three equal channels.

    Args:
        name: a net of timm.
        shape: (H, W, C) of the pictures.
        weights: a file of them; random if None.

    Shape:
        - Input: uint8 (B, H, W, C); output: (B, D).

    Raises:
        UsageError: timm is missing, knows no such net, or the weights are of another one.
    """

    pixel_mean: Tensor
    pixel_scale: Tensor

    def __init__(self, name: str, shape: Shape, *, weights: Path | None = None) -> None:
        super().__init__()
        self.name = name
        self.net, config = _create(name, weights)
        height, width, _ = shape
        native = tuple(int(n) for n in config["input_size"][1:])
        longer = max(height, width)
        grown = min(max(native), max(longer, _MOST_ENLARGED * longer))
        scale = max(1.0, grown / longer)
        sized = (round(height * scale), round(width * scale))
        self.size = native if config.get("fixed_input_size") else sized
        self.register_buffer("pixel_mean", 255.0 * torch.tensor(config["mean"]).view(3, 1, 1))
        self.register_buffer("pixel_scale", 1.0 / (255.0 * torch.tensor(config["std"]).view(3, 1, 1)))
        with torch.no_grad():
            self.n_features = int(self.eval()(torch.zeros(1, *shape, dtype=torch.uint8)).shape[1])

    def scaled(self, x: Tensor) -> Tensor:
        """Return pictures (B, H, W, C) in 0 to 255 as the net wants them, (B, 3, H', W')."""
        seen = x.float().permute(0, 3, 1, 2)
        if tuple(seen.shape[2:]) != self.size:
            smaller = self.size[0] < seen.shape[2] or self.size[1] < seen.shape[3]
            seen = nn.functional.interpolate(
                seen, size=self.size, mode="bilinear", align_corners=False, antialias=smaller
            )
        return (seen - self.pixel_mean) * self.pixel_scale

    def forward(self, x: Tensor) -> Tensor:
        """Return features."""
        features: Tensor = self.net(self.scaled(x))
        return features


class FeatureHead(nn.Module):
    """A linear map or an MLP on features, which it scales with statistics of its training rows.

    Shape:
        - Input: (B, D); output: (B, n).
    """

    feature_mean: Tensor
    feature_scale: Tensor
    target_mean: Tensor
    target_sd: Tensor

    def __init__(
        self,
        body: nn.Module,
        n_features: int,
        *,
        feature_mean: Sequence[float] | None = None,
        feature_sd: Sequence[float] | None = None,
        target_mean: float = 0.0,
        target_sd: float = 1.0,
    ) -> None:
        super().__init__()
        self.body = body
        self.register_buffer("feature_mean", torch.tensor(list(feature_mean or [0.0] * n_features)))
        self.register_buffer("feature_scale", 1.0 / torch.tensor(list(feature_sd or [1.0] * n_features)))
        self.register_buffer("target_mean", torch.tensor(target_mean))
        self.register_buffer("target_sd", torch.tensor(target_sd))
        scales = getattr(body, "parameter_scales", None) or {}
        self.parameter_scales = {f"body.{name}": factors for name, factors in scales.items()}

    def forward(self, x: Tensor) -> Tensor:
        """Return outputs."""
        outputs: Tensor = self.body((x - self.feature_mean) * self.feature_scale)
        return outputs * self.target_sd + self.target_mean


class TunedNet(nn.Module):
    """A backbone and a head that train together; the backbone's norms keep the statistics they came with.

    Batches of few pictures would replace what a norm learned from a million.

    Shape:
        - Input: uint8 (B, H, W, C); output: (B, n).
    """

    def __init__(self, backbone: Backbone, head: FeatureHead, augment: PictureAugment | None = None) -> None:
        super().__init__()
        self.backbone, self.head, self.augment = backbone, head, augment
        self.fast_alone = True
        self.parameter_scales = {
            **{f"backbone.{n}": (_CARE, 1.0 if p.dim() > 1 else 0.0) for n, p in backbone.named_parameters()},
            **{f"head.{n}": factors for n, factors in head.parameter_scales.items()},
        }

    def train(self, mode: bool = True) -> TunedNet:
        """Set the mode; norms with running statistics stay in evaluation."""
        super().train(mode)
        for module in self.backbone.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Return outputs."""
        if self.augment is not None and self.training:
            x, _ = self.augment(x)
        outputs: Tensor = self.head(self.backbone(x))
        return outputs


def build_head(config: Config, n_features: int, n_outputs: int) -> FeatureHead:
    """Build the head of a configuration: linear at depth 0, else an MLP.

    Options: ``feature_mean`` and ``feature_sd`` (D), ``target_mean``, ``target_sd``.
    """
    body: nn.Module = Linear(n_features, n_outputs)
    if config.depth > 0:
        body = Mlp(n_features, n_outputs, width=config.width, depth=config.depth, dropout=config.dropout)
    return FeatureHead(
        body,
        n_features,
        feature_mean=config.get("feature_mean"),
        feature_sd=config.get("feature_sd"),
        target_mean=float(config.get("target_mean", 0.0)),
        target_sd=float(config.get("target_sd", 1.0)),
    )


def native_side(name: str) -> int:
    """Return the side in pixels of the pictures that a net's weights were trained on."""
    import timm

    config = timm.get_pretrained_cfg(name.split(".")[0], allow_unregistered=False)
    return int(max(config.input_size[1:]))


def tuned_augment(config: Config) -> PictureAugment | None:
    """Return the augmentation that a configuration names; None for none."""
    strengths: dict[str, Any] = {name: float(config.get(name, 0.0)) for name in AUGMENTATIONS}
    return PictureAugment(**strengths) if any(strengths.values()) else None


def backbone_features(
    backbone: Backbone,
    pixels: NDArray[np.uint8],
    rows: NDArray[np.int64],
    device: torch.device,
    *,
    on_picture: Callable[[int], None] = lambda n: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> NDArray[np.float32]:
    """Return the features (N, D) of these rows' pictures; zeros for all other rows.

    Args:
        backbone, pixels, rows, device: what reads which pictures, and where.
        on_picture: told how many more pictures were read.
        should_stop: asked between batches; True leaves the rows that are not read yet at zero.
    """
    made = np.zeros((len(pixels), backbone.n_features), dtype=np.float32)
    batch = max(1, _ELEMENTS_A_PASS // (3 * int(np.prod(backbone.size))))
    net = backbone.to(device).eval()
    with torch.inference_mode():
        for start in range(0, len(rows), batch):
            if should_stop():
                break
            some = rows[start : start + batch]
            made[some] = net(torch.from_numpy(np.ascontiguousarray(pixels[some])).to(device)).cpu().numpy()
            on_picture(len(some))
    backbone.cpu()
    return made


@cache
def backbone_multiply_adds(name: str, shape: Shape) -> float:
    """Return the multiply-adds of one picture's pass through a net's convolutions and affine maps."""
    return passed_multiply_adds(Backbone(name, shape), torch.zeros(1, *shape, dtype=torch.uint8))


def _create(name: str, weights: Path | None) -> tuple[nn.Module, dict[str, Any]]:
    need_timm(f"a model on timm:{name}")
    import timm

    known_name(name)
    bare = name if weights is None else name.split(".")[0]
    if weights is None:
        net = timm.create_model(bare, pretrained=False, num_classes=0)
        return net, dict(net.pretrained_cfg)
    with torch.random.fork_rng(devices=[]):
        # From one seed both start alike: what stays equal was not in the file.
        torch.manual_seed(0)
        fresh = timm.create_model(bare, pretrained=False, num_classes=0).state_dict()
        torch.manual_seed(0)
        try:
            overlay = {"file": str(weights)}
            net = timm.create_model(name, pretrained=True, num_classes=0, pretrained_cfg_overlay=overlay)
        except Exception as error:  # timm and torch raise what they like on a foreign file
            raise _unfit(name, weights, f"{type(error).__name__}: {str(error)[:200]}") from error
    matrices = [n for n, p in net.named_parameters() if p.dim() > 1]
    state = net.state_dict()
    missing = [n for n in matrices if torch.equal(state[n], fresh[n])]
    if missing:
        raise _unfit(
            name, weights, f"it lacks {len(missing)} of {len(matrices)} tensors, {missing[0]!r} first"
        )
    if any(not torch.isfinite(t).all() for t in state.values() if t.is_floating_point()):
        raise _unfit(name, weights, "it holds values that are not finite")
    return net, dict(net.pretrained_cfg)


def _unfit(name: str, weights: Path, why: str) -> UsageError:
    return UsageError(
        say("--weights are those of the backbone, here timm's {name}", name=name),
        received=f"{weights}: {why}",
        fix="name the net that they were saved from, or another file",
    )
