"""Augmentation of pictures in the batch and on its device: a different draw for each picture, by counter.

A draw is a function of (seed, step, picture's place in the batch): a member sees the same pictures alone
and in a bank. Strengths are buffers, so each member of a bank has its own.

B batch, H × W pixels, C channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from soundfit.models.counter import STRIDE, stir, uniform16

__all__ = ["AUGMENTATIONS", "PictureAugment"]

#: Options of a configuration that augment, all off at 0.
AUGMENTATIONS = ("shift", "flip", "erase", "colour", "mixup")
_DRAWS = 12


class PictureAugment(nn.Module):
    """Shift with reflected edges, flip, colour, erasing and mixing of pictures, while training.

    Args:
        shift: up to this share of height and width (crop with padding, Krizhevsky et al. 2012).
        flip: probability of a mirror image.
        erase: probability that a rectangle of a twentieth to a fifth of the area turns to the picture's
            mean (Zhong et al. 2020).
        colour: strength of brightness, contrast and saturation, 0 to 1.
        mixup: largest share of another picture of the batch, times 2 (Zhang et al. 2018; shares are
            uniform between 0 and mixup / 2).
        seed: of all draws.

    Shape:
        - Input: uint8 (B, H, W, C). Output: float (B, H, W, C) in 0 to 255, and each picture's own
          share (B,) in the mixture.

    Example:
        >>> import torch
        >>> x = torch.arange(48, dtype=torch.uint8).view(1, 4, 4, 3)
        >>> seen, share = PictureAugment(flip=1.0)(x)
        >>> bool((seen == x.flip(2)).all()), share.tolist()
        (True, [1.0])
        >>> bool((PictureAugment(flip=1.0).eval()(x)[0] == x).all())
        True
    """

    shift: Tensor
    flip: Tensor
    erase: Tensor
    colour: Tensor
    mixup: Tensor
    seed: Tensor
    step: Tensor

    def __init__(
        self,
        *,
        shift: float = 0.0,
        flip: float = 0.0,
        erase: float = 0.0,
        colour: float = 0.0,
        mixup: float = 0.0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        given = {"shift": shift, "flip": flip, "erase": erase, "colour": colour, "mixup": mixup}
        for name, value in given.items():
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"a strength of augmentation is between 0 and 1, however: {name}={value}")
            self.register_buffer(name, torch.tensor(float(value)))
        # What nobody uses costs nothing; these flags make members with and without it other architectures.
        self.moves = shift > 0 or flip > 0
        self.erases, self.colours, self.mixes = erase > 0, colour > 0, mixup > 0
        self.register_buffer("seed", torch.tensor(stir(seed), dtype=torch.int32))
        self.register_buffer("step", torch.zeros((), dtype=torch.int32))

    def reseed(self, seed: int) -> None:
        """Draw from another seed."""
        self.seed.fill_(stir(seed))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Augment in training mode; convert to float alone in evaluation mode."""
        n = x.shape[0]
        if not self.training:
            return x.float(), torch.ones(n, device=x.device)
        self.step.add_(1)
        draw = uniform16(self.seed + self.step * STRIDE, n * _DRAWS).reshape(_DRAWS, n)
        # 0 ≤ u < 1, one row per kind of draw.
        u = (draw.float() + 32768.0) / 65536.0
        if self.moves:
            x = self._moved(x, u[0], u[1], u[2])
        seen = x.float()
        mean = seen.mean(dim=(1, 2), keepdim=True)
        if self.colours:
            seen = self._coloured(seen, mean, u[3], u[4], u[5])
        if self.erases:
            seen = self._erased(seen, mean, u[6:11])
        share = torch.ones(n, device=x.device)
        if self.mixes:
            share = 1.0 - 0.5 * self.mixup * u[11]
            own = share.view(n, 1, 1, 1)
            seen = own * seen + (1.0 - own) * seen.roll(1, 0)
        return seen, share

    def _moved(self, x: Tensor, down: Tensor, right: Tensor, mirror: Tensor) -> Tensor:
        n, height, width, channels = x.shape
        rows = self._places(height, down)
        columns = torch.arange(width, device=x.device).expand(n, width)
        turned = (mirror < self.flip).unsqueeze(1)
        columns = torch.where(turned, width - 1 - columns, columns)
        reach = torch.floor(self.shift * width)
        columns = _reflected(
            columns + torch.floor(right * (2 * reach + 1) - reach).long().unsqueeze(1), width
        )
        at = (rows.unsqueeze(2) * width + columns.unsqueeze(1)).reshape(n, height * width, 1)
        flat = x.reshape(n, height * width, channels)
        return flat.gather(1, at.expand(n, height * width, channels)).reshape(n, height, width, channels)

    def _places(self, size: int, draw: Tensor) -> Tensor:
        reach = torch.floor(self.shift * size)
        by = torch.floor(draw * (2 * reach + 1) - reach).long()
        return _reflected(torch.arange(size, device=draw.device) + by.unsqueeze(1), size)

    def _coloured(self, seen: Tensor, mean: Tensor, bright: Tensor, contrast: Tensor, hue: Tensor) -> Tensor:
        n = seen.shape[0]
        strength = self.colour

        def around(draw: Tensor) -> Tensor:
            return (strength * (2.0 * draw - 1.0)).view(n, 1, 1, 1)

        if seen.shape[3] == 3:
            grey = seen.mean(dim=3, keepdim=True)
            seen = grey + (seen - grey) * (1.0 + around(hue))
        seen = (seen - mean) * (1.0 + around(contrast)) + mean + 127.5 * around(bright)
        return seen.clamp(0.0, 255.0)

    def _erased(self, seen: Tensor, mean: Tensor, u: Tensor) -> Tensor:
        n, height, width, _ = seen.shape

        def inside(size: int, centre: Tensor, extent: Tensor) -> Tensor:
            half = 0.5 * size * (0.22 + 0.23 * extent)
            distance = (torch.arange(size, device=u.device) + 0.5 - (centre * size).unsqueeze(1)).abs()
            return distance < half.unsqueeze(1)

        rows, columns = inside(height, u[0], u[1]), inside(width, u[2], u[3])
        hit = (u[4] < self.erase).view(n, 1, 1)
        hole = (rows.unsqueeze(2) & columns.unsqueeze(1) & hit).unsqueeze(3)
        return torch.where(hole, mean, seen)


def _reflected(index: Tensor, size: int) -> Tensor:
    """Return positions beyond the edges mirrored back inside."""
    last = size - 1
    return (last - (last - index.abs()).abs()).clamp(0, last)
