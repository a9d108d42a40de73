"""Nets for pictures: softmax on pixels, MLP, small CNN, residual CNN. One factory builds them.

All read bytes (B, H, W, C) as they lie in memory, augment them while training, and scale them with
statistics of the member's training rows, which are buffers. Knows nothing of banks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from soundfit.models.augment import AUGMENTATIONS, PictureAugment
from soundfit.models.dropout import CounterDropout
from soundfit.models.net import Linear, Mlp
from soundfit.records import Config

__all__ = [
    "PICTURE_MODELS",
    "Cnn",
    "PictureNet",
    "ResNet",
    "build_picture_net",
    "multiply_adds",
    "passed_multiply_adds",
    "stem_stride",
]

PICTURE_MODELS = ("linear", "mlp", "cnn", "resnet")
# Convolutions start at this resolution or below: a stem halves larger pictures first.
_FULL_RESOLUTION = 40

Shape = tuple[int, int, int]


def build_picture_net(config: Config, shape: Shape, n_outputs: int) -> PictureNet:
    """Build the net of a configuration for pictures of ``shape`` (H, W, C).

    Options of the configuration: ``shift``, ``flip``, ``erase``, ``colour``, ``mixup`` (see
    :class:`PictureAugment`); ``pixel_mean`` and ``pixel_sd`` per channel; ``target_mean``, ``target_sd``.

    Raises:
        ValueError: no model of that name.
    """
    height, width, channels = shape
    n_pixels = height * width * channels
    body: nn.Module
    if config.model == "linear" or (config.model == "mlp" and config.depth == 0):
        body = Linear(n_pixels, n_outputs)
    elif config.model == "mlp":
        body = Mlp(n_pixels, n_outputs, width=config.width, depth=config.depth, dropout=config.dropout)
    elif config.model == "cnn":
        body = Cnn(shape, n_outputs, width=config.width, depth=config.depth, dropout=config.dropout)
    elif config.model == "resnet":
        body = ResNet(shape, n_outputs, width=config.width, depth=config.depth, dropout=config.dropout)
    else:
        raise ValueError(f"a picture model is one of {PICTURE_MODELS}, however: {config.model!r}")
    strengths: dict[str, Any] = {name: float(config.get(name, 0.0)) for name in AUGMENTATIONS}
    return PictureNet(
        body,
        channels,
        augment=PictureAugment(**strengths) if any(strengths.values()) else None,
        pixel_mean=config.get("pixel_mean"),
        pixel_sd=config.get("pixel_sd"),
        target_mean=float(config.get("target_mean", 0.0)),
        target_sd=float(config.get("target_sd", 1.0)),
    )


class PictureNet(nn.Module):
    """Bytes in, outputs out: augment, scale per channel, a body, and the target's scale.

    Shape:
        - Input: uint8 (B, H, W, C). Output: (B, n); while training with mixup (B, n + 1), the last column
          being each picture's own share in what was shown.
    """

    pixel_mean: Tensor
    pixel_scale: Tensor
    target_mean: Tensor
    target_sd: Tensor

    def __init__(
        self,
        body: nn.Module,
        channels: int,
        *,
        augment: PictureAugment | None = None,
        pixel_mean: Sequence[float] | None = None,
        pixel_sd: Sequence[float] | None = None,
        target_mean: float = 0.0,
        target_sd: float = 1.0,
    ) -> None:
        super().__init__()
        self.body = body
        self.augment = augment
        self.register_buffer("pixel_mean", torch.tensor(list(pixel_mean or [127.5] * channels)))
        self.register_buffer("pixel_scale", 1.0 / torch.tensor(list(pixel_sd or [64.0] * channels)))
        self.register_buffer("target_mean", torch.tensor(target_mean))
        self.register_buffer("target_sd", torch.tensor(target_sd))
        self.flat = isinstance(body, Linear | Mlp)
        # Convolutions fill a core on their own: on a CPU a batch of members gains nothing.
        self.fast_alone = not self.flat
        scales = getattr(body, "parameter_scales", None) or {}
        self.parameter_scales = {f"body.{name}": factors for name, factors in scales.items()}

    def forward(self, x: Tensor) -> Tensor:
        """Return outputs."""
        share = None
        if self.augment is not None and self.training:
            seen, share = self.augment(x)
        else:
            seen = x.float()
        seen = (seen - self.pixel_mean) * self.pixel_scale
        # Channels come last in memory, as convolutions on CPUs like them.
        outputs = self.body(seen.flatten(1) if self.flat else seen.permute(0, 3, 1, 2))
        outputs = outputs * self.target_sd + self.target_mean
        if share is not None and self.augment is not None and self.augment.mixes:
            outputs = torch.cat([outputs, share.unsqueeze(1)], dim=1)
        return outputs


class Cnn(nn.Module):
    """``depth`` stages of 3 × 3 convolutions, each at half the resolution and twice the width of the last.

    One convolution in the first stage, two in the others, each with batch normalisation and ReLU; the mean
    over what is left of the picture, dropout, an affine output. Pooling comes before normalisation: the same
    maxima, and a quarter of the elements to normalise.

    Shape:
        - Input: (B, C, H, W); output: (B, n).
    """

    def __init__(self, shape: Shape, n_outputs: int, *, width: int, depth: int, dropout: float = 0.0) -> None:
        super().__init__()
        height, wide, channels = shape
        stride = stem_stride(height, wide)
        size = min(height, wide) // stride
        layers: list[nn.Module] = []
        fan_in, fan_out = channels, width
        for stage in range(depth):
            last = stage == depth - 1
            n_convolutions = 1 if stage == 0 else 2
            for i in range(n_convolutions):
                layers.append(_convolution(fan_in, fan_out, stride if stage == 0 else 1))
                if i == n_convolutions - 1 and not last and size >= 4:
                    layers.append(nn.MaxPool2d(2))
                    size //= 2
                layers += [nn.BatchNorm2d(fan_out), nn.ReLU()]
                fan_in = fan_out
            fan_out *= 2
        self.features = nn.Sequential(*layers)
        self.drop = CounterDropout(dropout) if dropout > 0 else nn.Identity()
        self.output = _output(fan_in, n_outputs)
        self.parameter_scales = _no_decay_of_vectors(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return outputs (B, n)."""
        return self.output(self.drop(self.features(x).mean(dim=(2, 3))))


class ResNet(nn.Module):
    """Three stages of ``depth`` pre-activation basic blocks (He et al. 2016, "Identity mappings").

    Each block adds ``conv(relu(norm(conv(relu(norm(x))))))`` to its input; its last convolution starts at
    zero, so that the net starts as the identity and depth costs no signal (Zhang et al. 2019, "Fixup"). Not
    its last norm, as in blocks that end with one (Goyal et al. 2017): here a ReLU follows, which lets no
    gradient pass at zero, and the block would never learn. Widths ``width``, 2 · and 4 ·; stages halve the
    resolution. ``residual=False`` leaves the sums out: the plain net that shows what they are for.

    Shape:
        - Input: (B, C, H, W); output: (B, n).

    Example:
        >>> import torch
        >>> net = ResNet((28, 28, 1), 10, width=8, depth=2)
        >>> net(torch.randn(2, 1, 28, 28)).shape
        torch.Size([2, 10])
    """

    def __init__(
        self,
        shape: Shape,
        n_outputs: int,
        *,
        width: int,
        depth: int,
        dropout: float = 0.0,
        residual: bool = True,
    ) -> None:
        super().__init__()
        height, wide, channels = shape
        self.stem = _convolution(channels, width, stem_stride(height, wide))
        blocks, fan_in = [], width
        for stage in range(3):
            for i in range(depth):
                fan_out = width * 2**stage
                blocks.append(_Block(fan_in, fan_out, 2 if stage and i == 0 else 1, residual))
                fan_in = fan_out
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.BatchNorm2d(fan_in)
        self.drop = CounterDropout(dropout) if dropout > 0 else nn.Identity()
        self.output = _output(fan_in, n_outputs)
        self.parameter_scales = _no_decay_of_vectors(self)

    @property
    def features(self) -> nn.Module:
        """The last layer that knows where in the picture something is."""
        return self.norm

    def forward(self, x: Tensor) -> Tensor:
        """Return outputs (B, n)."""
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        x = torch.relu(self.norm(x)).mean(dim=(2, 3))
        return self.output(self.drop(x))


class _Block(nn.Module):
    def __init__(self, fan_in: int, fan_out: int, stride: int, residual: bool) -> None:
        super().__init__()
        self.first_norm = nn.BatchNorm2d(fan_in)
        self.first = _convolution(fan_in, fan_out, stride)
        self.second_norm = nn.BatchNorm2d(fan_out)
        self.second = _convolution(fan_out, fan_out, 1)
        self.residual = residual
        if residual:
            nn.init.zeros_(self.second.weight)
        changes = fan_in != fan_out or stride > 1
        self.shortcut = nn.Conv2d(fan_in, fan_out, 1, stride, bias=False) if changes and residual else None

    def forward(self, x: Tensor) -> Tensor:
        ready = torch.relu(self.first_norm(x))
        branch = self.second(torch.relu(self.second_norm(self.first(ready))))
        if not self.residual:
            return branch
        return branch + (x if self.shortcut is None else self.shortcut(ready))


def _convolution(fan_in: int, fan_out: int, stride: int) -> nn.Conv2d:
    layer = nn.Conv2d(fan_in, fan_out, 3, stride, padding=1, bias=False)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return layer


def _output(fan_in: int, n_outputs: int) -> nn.Linear:
    layer = nn.Linear(fan_in, n_outputs)
    nn.init.normal_(layer.weight, std=0.1 / math.sqrt(fan_in))
    nn.init.zeros_(layer.bias)
    return layer


def stem_stride(height: int, width: int) -> int:
    """Return 1 for small pictures, else what brings them near 32 pixels."""
    size, stride = max(height, width), 1
    while size / stride > _FULL_RESOLUTION:
        stride *= 2
    return stride


def _no_decay_of_vectors(module: nn.Module) -> dict[str, tuple[float, float]]:
    """Factors on (learning rate, weight decay): norms and biases are not decayed."""
    return {n: (1.0, 0.0) for n, p in module.named_parameters() if p.dim() < 2}


@cache
def multiply_adds(model: str, width: int, depth: int, shape: Shape) -> float:
    """Return the multiply-adds of one picture's forward pass through convolutions and affine maps.

    >>> multiply_adds("linear", 0, 0, (28, 28, 1))
    7840.0
    """
    with torch.device("meta"):
        net = build_picture_net(Config(model=model, width=width, depth=depth), shape, 10)
        return passed_multiply_adds(net, torch.empty(1, *shape, dtype=torch.uint8))


def passed_multiply_adds(net: nn.Module, inputs: Tensor) -> float:
    """Return the multiply-adds of one pass of ``inputs``; the net is only for that, and keeps the hooks."""
    total = 0.0

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        if isinstance(module, nn.Conv2d):
            total += output.numel() * module.weight[0].numel()
        elif isinstance(module, nn.Linear):
            total += output.numel() * module.in_features

    for module in net.eval().modules():
        module.register_forward_hook(count)
    with torch.no_grad():
        net(inputs)
    return total
