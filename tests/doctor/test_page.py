"""The page: one file, layers worst first, light and dark."""

from __future__ import annotations

import numpy as np

from soundfit.records import Trace
from soundfit.report.doctor_page import doctor_page


def test_the_worst_layer_leads_each_picture() -> None:
    at = np.arange(1, 6, dtype=float)
    layers = {
        f"layer{i}": {"gradient_rms": np.full(5, g), "zero_fraction": np.full(5, z)}
        for i, (g, z) in enumerate([(1e-2, 0.1), (1e-9, 0.3), (2e-2, 1.0), (3e-2, 0.2)])
    }
    trace = Trace("step", at, {"training_loss": np.linspace(1, 0.5, 5)}, layers, (), {})
    page = doctor_page(trace, {"healthy": True, "diagnoses": [], "repair": None}, "train<1>.py")
    first, second = page.index('aria-label="Gradient by layer'), page.index('aria-label="Share of zeros')
    gradients, zeros = page[first:second], page[second:]
    assert gradients.index("■ layer1") < gradients.index("■ layer0")
    assert zeros.index("■ layer2") < zeros.index("■ layer1") < zeros.index("■ layer0")
    assert "prefers-color-scheme:dark" in page
    assert "train&lt;1&gt;.py" in page
    assert "http" not in page
