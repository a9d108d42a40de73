"""Grad-CAM: where in a picture a net found what speaks for a class (Selvaraju et al. 2017, eq. 1 and 2)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from soundfit.models.backbone import Backbone, FeatureHead, TunedNet
from soundfit.models.conv import Cnn, PictureNet, ResNet

__all__ = ["grad_cam", "with_maps"]


def with_maps(net: nn.Module, backbone: Backbone | None = None) -> nn.Module | None:
    """Return a net, on pictures, whose last convolutional maps can be weighed; None where it has none.

    Args:
        net: a net on pictures, or a head on the features of ``backbone``.
        backbone: the frozen net that a head reads.
    """
    if isinstance(net, FeatureHead) and backbone is not None:
        net = TunedNet(backbone, net)
    if isinstance(net, PictureNet):
        return net if isinstance(net.body, Cnn | ResNet) else None
    if not isinstance(net, TunedNet) or not hasattr(net.backbone.net, "forward_features"):
        return None
    size = net.backbone.size
    with torch.no_grad():
        inner: Any = net.backbone.net.eval()
        maps = inner.forward_features(torch.zeros(1, 3, *size))
    # A transformer has tokens instead of maps.
    return net if maps.dim() == 4 and maps.shape[1] > maps.shape[2] else None


def grad_cam(net: nn.Module, pictures: Tensor, classes: Tensor) -> Tensor:
    """Return maps (B, H, W) from 0 to 1 of what speaks for ``classes`` (B,) in ``pictures`` (B, H, W, C).

    The last convolutional maps are weighed by the mean gradient of the class's logit; what speaks against
    the class is 0. Parameters and buffers stay as they are.

    Args:
        net: as :func:`with_maps` returns it.
        pictures, classes: what to look at, and for which class.
    """
    training = net.training
    frozen = [p.requires_grad for p in net.parameters()]
    try:
        with torch.enable_grad():
            # The maps need gradients, the parameters need none.
            for p in net.parameters():
                p.requires_grad_(True)
            net.eval()
            passed = _backbone_pass if isinstance(net, TunedNet) else _pass
            maps, logits = passed(net, pictures)
            score = logits.gather(1, classes.unsqueeze(1)).sum()
            (gradient,) = torch.autograd.grad(score, maps)
    finally:
        for p, was in zip(net.parameters(), frozen, strict=True):
            p.requires_grad_(was)
        net.train(training)
    weight = gradient.mean(dim=(2, 3), keepdim=True)
    heat = torch.relu((weight * torch.relu(maps.detach())).sum(dim=1, keepdim=True))
    heat = torch.nn.functional.interpolate(
        heat, size=tuple(pictures.shape[1:3]), mode="bilinear", align_corners=False
    )[:, 0]
    return heat / heat.amax(dim=(1, 2), keepdim=True).clamp_min(1e-12)


def _pass(net: nn.Module, pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Return the last maps and the logits of a net of ours."""
    assert isinstance(net, PictureNet)
    assert isinstance(net.body, Cnn | ResNet)
    kept: list[Tensor] = []
    handle = net.body.features.register_forward_hook(lambda _, __, output: kept.append(output))
    try:
        logits = net(pictures)
    finally:
        handle.remove()
    return kept[0], logits


def _backbone_pass(net: nn.Module, pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Return the last maps of a backbone, and the logits of its head."""
    assert isinstance(net, TunedNet)
    inner: Any = net.backbone.net
    maps: Tensor = inner.forward_features(net.backbone.scaled(pictures))
    return maps, net.head(inner.forward_head(maps))
