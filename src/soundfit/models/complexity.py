"""Complexity: what theory says about how much a net could fit, from its shape alone.

These numbers bound what *some* setting of the weights could do on the worst data. They say nothing about
what training finds on this table; error over size on validation rows does.
"""

from __future__ import annotations

import math
from typing import Any

from soundfit.records import Config

__all__ = ["capacity_measures", "vc_bounds"]


def vc_bounds(config: Config, n_inputs: int, parameters: int) -> tuple[float, float]:
    """Return lower and upper bounds of the VC dimension of a net of one output, up to constants.

    A linear classifier shatters exactly d + 1 points (Vapnik & Chervonenkis 1971). For piecewise-linear
    nets of W weights and L layers the largest dimension lies between c·W·L·log(W/L) and C·W·L·log W
    (Bartlett, Harvey, Liaw & Mehrabian 2019, "Nearly-tight VC-dimension bounds"). They prove the lower
    bound with c = 1/640; C is set to 1 here, so read the upper number as an order of magnitude.

    >>> vc_bounds(Config(model="linear", depth=0), 10, 11)
    (11.0, 11.0)
    """
    if config.model == "linear" or config.depth == 0:
        return float(n_inputs + 1), float(n_inputs + 1)
    layers = (2 if config.model == "resmlp" else 1) * config.depth + 1
    weights = max(parameters, 2)
    lower = weights * layers * math.log2(max(weights / layers, 2.0)) / 640.0
    return lower, weights * layers * math.log2(weights)


def capacity_measures(config: Config, n_inputs: int, n_outputs: int, parameters: int) -> dict[str, Any]:
    """Return ``parameters``, ``vc_lower`` and ``vc_upper`` for a table of the capacity study.

    The bounds are those of one output; a softmax of C classes is compared one class against the rest.
    """
    own = parameters if n_outputs == 1 else parameters // n_outputs if config.depth == 0 else parameters
    lower, upper = vc_bounds(config, n_inputs, own)
    return {"parameters": parameters, "vc_lower": lower, "vc_upper": upper}
