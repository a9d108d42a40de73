"""Datasets whose rows are altered by draws: what they teach without, and nothing where nothing is drawn."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.utils.data import Dataset

from soundfit.doctor.rows import Rows
from soundfit.doctor.script import watched_run
from soundfit.doctor.unaltered import _fetched

SCRIPT = """
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset
torch.manual_seed(0)

class Points(Dataset):
    def __init__(self, n, noise, seed):
        g = torch.Generator().manual_seed(seed)
        self.x = torch.randn(n, 6, generator=g)
        self.y = (torch.sin(2 * self.x[:, 0]) + self.x[:, 1] > 0).long()
        self.noise = noise
    def __len__(self):
        return len(self.y)
    def __getitem__(self, i):
        x = self.x[i]
        return (x + self.noise * torch.randn(6) if self.noise else x), self.y[i]

train, test = Points(1200, NOISE, 1), Points(600, 0.0, 2)
net = nn.Sequential(nn.Linear(6, 64), nn.ReLU(), nn.Linear(64, 2))
opt = torch.optim.Adam(net.parameters(), lr=3e-3)
for epoch in range(25):
    for x, y in DataLoader(train, batch_size=32, shuffle=True):
        loss = nn.functional.cross_entropy(net(x), y)
        opt.zero_grad(); loss.backward(); opt.step()
    net.eval()
    with torch.no_grad():
        hits = sum((net(x).argmax(1) == y).sum().item() for x, y in DataLoader(test, batch_size=200))
    net.train()
print("test accuracy", hits / 600)
"""


@pytest.mark.parametrize(("noise", "harms"), [(2.5, True), (0.05, False)])
def test_noise_that_destroys_rows_is_told_from_noise_that_does_not(
    tmp_path: Path, noise: float, harms: bool
) -> None:
    path = tmp_path / "train.py"
    path.write_text(SCRIPT.replace("NOISE", str(noise)))
    _, visit = watched_run(path, [], seconds=12.0)
    assert visit is not None
    named = [d.code for d in visit.diagnoses if d.severity != "note"]
    assert named[:1] == ["augmentation"] if harms else named == []


class Plain(Dataset[tuple[torch.Tensor, int]]):
    """Rows that are the same each time, or blurred, or of another form."""

    def __init__(self, blur: float, width: int = 3) -> None:
        self.blur, self.x = blur, torch.arange(300.0 * width).reshape(300, width)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        return self.x[i] + self.blur * torch.randn(self.x.shape[1]), i % 2


def test_rows_are_fetched_without_their_draws() -> None:
    seen = Rows((torch.randn(20, 3),), torch.zeros(20, dtype=torch.long))
    found = _fetched(Plain(1.0), seen, 5.0)
    assert found is not None
    assert torch.equal(found.inputs[0], Plain(0.0).x)
    assert found.targets.tolist() == [i % 2 for i in range(300)]
    assert _fetched(Plain(0.0), seen, 5.0) is None
    assert _fetched(Plain(1.0, width=4), seen, 5.0) is None
    assert float(torch.randn(50).std()) > 0.5
