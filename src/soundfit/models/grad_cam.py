"""Grad-CAM: where in a picture a net found what speaks for a class (Selvaraju et al. 2017, eq. 1 and 2)."""

from __future__ import annotations

import torch
from torch import Tensor

from soundfit.models.conv import Cnn, PictureNet, ResNet

__all__ = ["grad_cam", "has_grad_cam"]


def has_grad_cam(net: torch.nn.Module) -> bool:
    """Return whether a net has convolutions whose last map can be weighed."""
    return isinstance(net, PictureNet) and isinstance(net.body, Cnn | ResNet)


def grad_cam(net: PictureNet, pictures: Tensor, classes: Tensor) -> Tensor:
    """Return maps (B, H, W) from 0 to 1 of what speaks for ``classes`` (B,) in ``pictures`` (B, H, W, C).

    The last convolutional maps are weighed by the mean gradient of the class's logit; what speaks against
    the class is 0. Parameters and buffers stay as they are.
    """
    body = net.body
    assert isinstance(body, Cnn | ResNet)
    kept: list[Tensor] = []

    def keep(_: object, __: object, output: Tensor) -> None:
        kept.append(output)

    handle = body.features.register_forward_hook(keep)
    training = net.training
    try:
        with torch.enable_grad():
            # The maps need gradients, the parameters need none.
            frozen = [p.requires_grad for p in net.parameters()]
            for p in net.parameters():
                p.requires_grad_(True)
            logits = net.eval()(pictures)
            score = logits.gather(1, classes.unsqueeze(1)).sum()
            (gradient,) = torch.autograd.grad(score, kept[0])
            for p, was in zip(net.parameters(), frozen, strict=True):
                p.requires_grad_(was)
    finally:
        handle.remove()
        net.train(training)
    weight = gradient.mean(dim=(2, 3), keepdim=True)
    maps = torch.relu((weight * torch.relu(kept[0].detach())).sum(dim=1, keepdim=True))
    maps = torch.nn.functional.interpolate(
        maps, size=tuple(pictures.shape[1:3]), mode="bilinear", align_corners=False
    )[:, 0]
    return maps / maps.amax(dim=(1, 2), keepdim=True).clamp_min(1e-12)
