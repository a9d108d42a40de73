"""Nets for table rows: linear, MLP, residual MLP. One factory builds them from a configuration.

Knows nothing of banks. A dropout rate of 0 builds no dropout layer, so that members without dropout
do not pay for it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from soundfit.models.dropout import CounterDropout
from soundfit.models.infinite import InfiniteMlp
from soundfit.records import Config

__all__ = [
    "ACTIVATIONS",
    "MODELS",
    "Block",
    "FeatureScale",
    "Linear",
    "Mlp",
    "PeriodicEmbedding",
    "Reads",
    "ResMlp",
    "build",
    "count_parameters",
]

#: Those that are trained; ``infinite`` ones are solved (see :mod:`soundfit.models.infinite`).
MODELS = ("linear", "mlp", "resmlp")
ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "selu": nn.SELU,
    "mish": nn.Mish,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
}


def build(config: Config, n_inputs: int, n_outputs: int) -> nn.Module:
    """Build the net of a configuration; with an option ``reads``, one that reads those inputs alone.

    Raises:
        ValueError: no model or activation of that name, or an input that there is not.
    """
    if config.get("reads"):
        return _reading(config, n_inputs, n_outputs)
    if config.model == "linear" or (config.model == "mlp" and config.depth == 0):
        return Linear(n_inputs, n_outputs)
    if config.is_infinite:
        kind = {"depth": config.depth, "landmarks": config["landmarks"], "trained": config["trained"]}
        return InfiniteMlp(n_inputs, n_outputs, **kind)
    shape: dict[str, Any] = {
        "width": config.width,
        "depth": config.depth,
        "dropout": config.dropout,
        "activation": config.get("activation", "relu"),
    }
    if config.model == "mlp":
        return Mlp(n_inputs, n_outputs, **shape, periodic=config.get("periodic", ()))
    if config.model == "resmlp":
        return ResMlp(n_inputs, n_outputs, **shape)
    raise ValueError(f"a table model is one of {MODELS}, however: {config.model!r}")


def count_parameters(module: nn.Module) -> int:
    """Return the number of trainable parameters."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def _reading(config: Config, n_inputs: int, n_outputs: int) -> nn.Module:
    inputs = [int(i) for i in config["reads"]]
    if not all(0 <= i < n_inputs for i in inputs):
        raise ValueError(f"a net reads inputs 0 to {n_inputs - 1}, however: {inputs}")
    place = {i: j for j, i in enumerate(inputs)}
    waves = [place[i] for i in config.get("periodic", ()) if i in place]
    inner = config.with_(reads=(), **({"periodic": waves} if config.get("periodic") else {}))
    return Reads(inputs, build(inner, len(inputs), n_outputs))


class Reads(nn.Module):
    """A net that reads some of its inputs and ignores the others.

    Shape:
        - Input: (B, F); output: that of the net on (B, len(inputs)).

    Example:
        >>> import torch
        >>> Reads([0, 2], Linear(2, 1))(torch.randn(4, 3)).shape
        torch.Size([4, 1])
    """

    def __init__(self, inputs: Sequence[int], net: nn.Module) -> None:
        super().__init__()
        self.inputs = list(inputs)
        self.net = net
        factors = getattr(net, "parameter_scales", {})
        self.parameter_scales = {f"net.{name}": factor for name, factor in factors.items()}

    def forward(self, x: Tensor) -> Tensor:
        """Return the net's outputs."""
        return self.net(x[:, self.inputs])


class Linear(nn.Module):
    """One affine map: linear regression, or softmax regression on logits.

    Starts at zero, the mean prediction: a convex loss needs no symmetry breaking.

    Shape:
        - Input: (B, F); output: (B, C).
    """

    def __init__(self, n_inputs: int, n_outputs: int) -> None:
        super().__init__()
        self.output = nn.Linear(n_inputs, n_outputs)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return outputs (B, C)."""
        return self.output(x)


class FeatureScale(nn.Module):
    """One learned factor per input: a soft feature selection that decay can shrink.

    Source: the scaling layer of RealMLP (Holzmüller et al. 2024, "Better by default").

    Shape:
        - Input: (B, F); output: (B, F).
    """

    def __init__(self, n_inputs: int) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones(n_inputs))

    def forward(self, x: Tensor) -> Tensor:
        """Scale each feature."""
        return x * self.factor


class PeriodicEmbedding(nn.Module):
    """Waves of each chosen input beside all inputs: lets a small net bend where a straight one must be wide.

    Each input x becomes A·cos(2π(w x + b)) with ``n_waves`` learned frequencies and phases, mapped to
    ``n_outputs`` values (the PBLD embedding of RealMLP, Holzmüller et al. 2024, appendix A.2; periodic
    features: Gorishniy et al. 2022).

    Shape:
        - Input: (B, F); output: (B, F + n_outputs · len(inputs)).

    Example:
        >>> import torch
        >>> PeriodicEmbedding((0, 2)).eval()(torch.randn(4, 3)).shape
        torch.Size([4, 9])
    """

    def __init__(
        self, inputs: Sequence[int], *, n_waves: int = 16, n_outputs: int = 3, spread: float = 0.1
    ) -> None:
        super().__init__()
        self.inputs = [int(i) for i in inputs]
        n = len(self.inputs)
        self.frequency = nn.Parameter(spread * torch.randn(n, n_waves))
        self.phase = nn.Parameter(torch.rand(n, n_waves) - 0.5)
        self.mix = nn.Parameter(torch.randn(n, n_waves, n_outputs) / math.sqrt(n_waves))
        self.shift = nn.Parameter(torch.zeros(n, n_outputs))

    def extra_repr(self) -> str:
        """Name the inputs, so that nets of other inputs are other architectures."""
        return f"inputs={self.inputs}"

    def forward(self, x: Tensor) -> Tensor:
        """Return all inputs, followed by the waves of the chosen ones."""
        chosen = x[:, self.inputs].unsqueeze(2)
        waves = torch.cos(2.0 * math.pi * (chosen * self.frequency + self.phase))
        mixed = torch.einsum("bnk,nko->bno", waves, self.mix) + self.shift
        return torch.cat([x, mixed.flatten(1)], dim=1)


class Mlp(nn.Module):
    """Feature scaling, then ``depth`` hidden layers of ``width`` units, then an affine output.

    Weights start at He scale (He et al. 2015), the output layer near zero, so that the first
    predictions are the mean and the first gradients neither vanish nor explode.
    ``parameter_scales`` gives each weight a learning rate in proportion to 1/√fan-in, as under the
    neural-tangent parametrisation: one base rate then serves all widths.

    Shape:
        - Input: (B, F); output: (B, C).

    Example:
        >>> import torch
        >>> Mlp(8, 1, width=16, depth=2)(torch.randn(4, 8)).shape
        torch.Size([4, 1])
    """

    def __init__(
        self,
        n_inputs: int,
        n_outputs: int,
        *,
        width: int,
        depth: int,
        dropout: float = 0.0,
        activation: str = "relu",
        periodic: Sequence[int] = (),
    ) -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            raise ValueError(f"an activation is one of {sorted(ACTIVATIONS)}, however: {activation!r}")
        layers: list[nn.Module] = []
        fan_in = n_inputs
        if periodic:
            if not all(isinstance(i, int) and 0 <= i < n_inputs for i in periodic):
                raise ValueError(f"waves are made of inputs 0 to {n_inputs - 1}, however: {list(periodic)}")
            # Where many inputs have waves, each needs fewer.
            layers.append(PeriodicEmbedding(periodic, n_waves=16 if len(periodic) <= 16 else 8))
            fan_in += 3 * len(periodic)
        layers.append(FeatureScale(fan_in))
        for _ in range(depth):
            layers += [_he_linear(fan_in, width), ACTIVATIONS[activation]()]
            if dropout > 0:
                layers.append(CounterDropout(dropout))
            fan_in = width
        self.hidden = nn.Sequential(*layers)
        self.output = nn.Linear(fan_in, n_outputs)
        nn.init.normal_(self.output.weight, std=0.1 / math.sqrt(fan_in))
        nn.init.zeros_(self.output.bias)
        self.parameter_scales = _rate_scales(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return outputs (B, C)."""
        return self.output(self.hidden(x))


class ResMlp(nn.Module):
    """Residual MLP: ``depth`` pre-activation blocks ``x + W₂ f(W₁ norm(x))`` (Gorishniy et al. 2021).

    The second map of each block starts at zero, so the net starts as the identity and depth costs
    no signal (zero-init of the residual branch, Goyal et al. 2017).

    Shape:
        - Input: (B, F); output: (B, C).
    """

    def __init__(
        self,
        n_inputs: int,
        n_outputs: int,
        *,
        width: int,
        depth: int,
        dropout: float = 0.0,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        self.input = nn.Sequential(FeatureScale(n_inputs), _he_linear(n_inputs, width))
        self.blocks = nn.ModuleList(Block(width, dropout, activation) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.activation = ACTIVATIONS[activation]()
        self.output = nn.Linear(width, n_outputs)
        nn.init.normal_(self.output.weight, std=0.1 / math.sqrt(width))
        nn.init.zeros_(self.output.bias)
        self.parameter_scales = _rate_scales(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return outputs (B, C)."""
        x = self.input(x)
        for block in self.blocks:
            x = block(x)
        return self.output(self.activation(self.norm(x)))


class Block(nn.Module):
    """A residual block: ``x + W₂ f(W₁ norm(x))``.

    Shape:
        - Input and output: (B, H).
    """

    def __init__(self, width: int, dropout: float, activation: str) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.LayerNorm(width), _he_linear(width, width)]
        layers.append(ACTIVATIONS[activation]())
        if dropout > 0:
            layers.append(CounterDropout(dropout))
        last = nn.Linear(width, width)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.branch = nn.Sequential(*layers, last)

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's outputs."""
        return x + self.branch(x)


def _he_linear(fan_in: int, fan_out: int) -> nn.Linear:
    layer = nn.Linear(fan_in, fan_out)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    nn.init.zeros_(layer.bias)
    return layer


def _rate_scales(module: nn.Module) -> dict[str, tuple[float, float]]:
    """Factors on (learning rate, weight decay) per parameter: 1/√fan-in for weights, no decay for biases."""
    scales = {}
    for name, parameter in module.named_parameters():
        if name.endswith(("frequency", "phase", "mix", "shift")):
            # Waves move with care (a tenth of the rate, as RealMLP's) and are not decayed.
            scales[name] = (0.1, 0.0)
        elif parameter.dim() == 2:
            scales[name] = (1.0 / math.sqrt(parameter.shape[1]), 1.0)
        elif name.endswith("factor"):
            scales[name] = (1.0, 1.0)
        else:
            scales[name] = (0.1, 0.0)
    return scales
