"""A model can be called again as its script called it: by position, by name, in dicts, with labels inside."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from soundfit.doctor.call import call_of, output_of, tensors


class Net(nn.Module):
    def forward(self, a: Any, *, scale: Any = 1.0, mask: Any = None, labels: Any = None) -> Any:
        a = a["x"] if isinstance(a, dict) else a
        out = a * scale if mask is None else a * scale + mask.sum()
        return {"logits": out} if labels is None else {"loss": (out - labels).mean(), "logits": out}


def test_rows_are_found_and_the_rest_stays() -> None:
    x, y, mask = torch.randn(6, 3), torch.randn(6, 3), torch.ones(3, 3)
    made = call_of(({"x": x},), {"scale": 2.0, "mask": mask, "labels": y}, y)
    assert made is not None
    form, rows = made
    assert len(rows) == 1
    assert torch.equal(output_of(form(Net(), (x[:2],))), 2 * x[:2] + 9)


def test_a_target_handed_over_by_position_stays_an_input() -> None:
    x = torch.randn(5, 2)
    made = call_of((x,), {}, x)  # an autoencoder's
    assert made is not None
    assert made[1][0] is x


def test_no_form_without_rows_or_behind_another_model() -> None:
    assert call_of((torch.randn(3, 2),), {}, torch.zeros(4)) is None
    hidden = nn.Linear(2, 2)(torch.randn(4, 2))
    assert call_of((hidden,), {}, torch.zeros(4)) is None


def test_outputs_in_distributions_and_objects() -> None:
    mean = torch.randn(4, 1)
    assert output_of(torch.distributions.Normal(mean, torch.ones(4, 1))) is mean
    assert output_of((torch.tensor(1.0), mean)) is mean
    assert len(tensors([mean, {"a": mean}, 3, None])) == 2
    with pytest.raises(TypeError, match="must return a tensor"):
        output_of(None)
