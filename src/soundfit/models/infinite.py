"""InfiniteMlp: what a ReLU MLP tends to as its width grows without end, trained to the end of its descent.

Such a net is a kernel machine. Where only its last layer is trained the kernel is that of its random features
(Neal 1996; Cho & Saul 2009; Lee et al. 2018); where all layers are, the neural tangent kernel (Jacot, Gabriel
& Hongler 2018). Of few rows it is often the best net there is (Arora et al. 2020); to solve it takes seconds.

B rows, M landmarks (training rows that speak), F inputs, C outputs.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

__all__ = ["BIAS_VARIANCE", "InfiniteMlp", "infinite_kernel"]

#: Variance of the biases beside weights at He scale.
BIAS_VARIANCE = 0.1
_NUMBERS_A_BLOCK = 200_000


def infinite_kernel(x_BF: Tensor, z_MF: Tensor, *, depth: int, trained: str = "all") -> Tensor:
    """Return the kernel (…, B, M) of an infinitely wide ReLU MLP between rows, of one unit of length.

    Args:
        x_BF, z_MF: rows (…, B, F) and (…, M, F) in double precision.
        depth: hidden layers, 1 or more.
        trained: ``all`` layers (the neural tangent kernel) or the ``last`` one.

    Raises:
        ValueError: another depth or word.

    Example:
        >>> x = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
        >>> k = infinite_kernel(x, x, depth=1, trained="last")
        >>> bool(k[0, 0] > k[0, 1] > 0), bool((k - k.T).abs().max() < 1e-12)
        (True, True)
    """
    if depth < 1 or trained not in ("all", "last"):
        raise ValueError(f"a depth from 1 on, and 'all' or 'last', however: {depth}, {trained!r}")
    n_inputs = x_BF.shape[-1]
    own_B = x_BF.square().sum(-1) / n_inputs + BIAS_VARIANCE
    own_M = z_MF.square().sum(-1) / n_inputs + BIAS_VARIANCE
    kernel = x_BF @ z_MF.transpose(-1, -2) / n_inputs + BIAS_VARIANCE
    tangent = kernel
    for _ in range(depth):
        length = own_B.sqrt().unsqueeze(-1) * own_M.sqrt().unsqueeze(-2)
        cosine = (kernel / length).clamp(-1.0, 1.0)
        apart = cosine.acos().neg_().add_(math.pi).div_(math.pi)
        # Twice E[relu(u) relu(v)] and twice E[relu'(u) relu'(v)] (Cho & Saul 2009, equations 3 to 6).
        sine = cosine.square().neg_().add_(1.0).sqrt_().div_(math.pi)
        kernel = sine.addcmul_(apart, cosine).mul_(length).add_(BIAS_VARIANCE)
        if trained == "all":
            tangent = kernel + tangent * apart
        own_B, own_M = own_B + BIAS_VARIANCE, own_M + BIAS_VARIANCE
    return tangent if trained == "all" else kernel


class InfiniteMlp(nn.Module):
    """A ReLU MLP of infinite width: a weighted sum of its kernel with some training rows, the landmarks.

    Holds those rows as it reads them (scaled, coded), so that who has the model has them too.

    Args:
        n_inputs, n_outputs: F and C.
        depth: hidden layers.
        landmarks: M.
        trained: which layers of the net are, ``all`` or the ``last``.

    Shape:
        - Input: (B, F); output: (B, C), computed in double precision.

    Example:
        >>> InfiniteMlp(8, 1, depth=2, landmarks=5)(torch.randn(4, 8)).shape
        torch.Size([4, 1])
    """

    landmarks: Tensor
    unit: Tensor

    def __init__(
        self, n_inputs: int, n_outputs: int, *, depth: int, landmarks: int, trained: str = "all"
    ) -> None:
        super().__init__()
        self.depth, self.trained = depth, trained
        self.register_buffer("landmarks", torch.zeros(landmarks, n_inputs))
        # Length of a row: rows come in any number of columns.
        self.register_buffer("unit", torch.ones((), dtype=torch.float64))
        self.weight = nn.Parameter(torch.zeros(landmarks, n_outputs, dtype=torch.float64))
        self.bias = nn.Parameter(torch.zeros(n_outputs, dtype=torch.float64))

    def extra_repr(self) -> str:
        """Name what its kernel depends on."""
        sizes = f"landmarks={tuple(self.landmarks.shape)}, outputs={self.weight.shape[1]}"
        return f"{sizes}, depth={self.depth}, trained={self.trained!r}"

    def kernel(self, x: Tensor, others: Tensor | None = None) -> Tensor:
        """Return the kernel (B, M) of rows with the landmarks, or with other rows, in double precision."""
        rows = self.landmarks if others is None else others
        return self._kernel(x, rows.double() / self.unit)

    def _kernel(self, x: Tensor, rows_MF: Tensor) -> Tensor:
        return infinite_kernel(x.double() / self.unit, rows_MF, depth=self.depth, trained=self.trained)

    def forward(self, x: Tensor) -> Tensor:
        """Return outputs (B, C)."""
        rows_MF = self.landmarks.double() / self.unit
        # A block of the kernel stays in the cache while it is made.
        block = max(_NUMBERS_A_BLOCK // len(rows_MF), 16)
        # A program for any number of rows must not ask how many there are.
        if torch.compiler.is_compiling() or torch.compiler.is_exporting() or x.shape[0] <= block:
            return (self._kernel(x, rows_MF) @ self.weight + self.bias).float()
        parts = [self._kernel(part, rows_MF) @ self.weight for part in x.split(block)]
        return (torch.cat(parts) + self.bias).float()
