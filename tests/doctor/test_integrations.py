"""The doctor inside Lightning, Transformers and skorch, where they are installed; words of the error where not."""

# ruff: noqa: E501

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

import soundfit.integrations as integrations
from soundfit.doctor.visit import doctor
from soundfit.errors import UsageError
from soundfit.integrations.watching import Watching


def rows(n: int = 320) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, 4, generator=generator)
    return x, (x[:, 0] + x[:, 1] > 0).long()


def fit(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int = 30) -> None:
    x, y = rows()
    for i in range(steps):
        part = torch.arange(32) + 32 * (i % 10)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x[part]), y[part]).backward()
        optimizer.step()


def test_a_missing_library_is_named() -> None:
    for name, library in (("LightningDoctor", "lightning"), ("TransformersDoctor", "transformers")):
        if (
            importlib.util.find_spec(library) is None
            and importlib.util.find_spec("pytorch_" + library) is None
        ):
            with pytest.raises(UsageError, match=f"pip install {library}"):
                getattr(integrations, name)
    with pytest.raises(AttributeError, match="no attribute 'KerasDoctor'"):
        integrations.KerasDoctor  # noqa: B018


def test_one_watch_from_start_to_end(capsys: pytest.CaptureFixture[str]) -> None:
    before = nn.Module.__dict__["__call__"]
    watching = Watching(seconds=1.0)
    assert not watching.healthy
    assert watching.diagnoses == []
    model = nn.Linear(4, 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    watching.begin(optimizer)
    first = watching.visit
    watching.begin(optimizer)
    assert watching.visit is first
    fit(model, optimizer)
    watching.end()
    watching.end()
    assert capsys.readouterr().err.count("soundfit doctor:") == 1
    assert watching.visit is not None
    assert watching.visit.trace is not None
    assert watching.visit.trace.facts["steps"] == 30
    assert nn.Module.__dict__["__call__"] is before
    watching.begin(optimizer)
    watching.drop()
    assert nn.Module.__dict__["__call__"] is before


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("fault", [False, True])
def test_lightning(fault: bool, tmp_path: Path) -> None:
    lightning = pytest.importorskip("lightning.pytorch")

    class Net(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            end = [nn.Softmax(dim=1)] if fault else []
            self.layers = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2), *end)

        def forward(self, x: torch.Tensor) -> Any:
            return self.layers(x)

        def training_step(self, batch: Any, index: int) -> torch.Tensor:
            return nn.functional.cross_entropy(self(batch[0]), batch[1])

        def validation_step(self, batch: Any, index: int) -> None:
            self.log("accuracy", (self(batch[0]).argmax(1) == batch[1]).float().mean())

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters(), lr=0.02)

    def weights(callbacks: list[Any]) -> list[torch.Tensor]:
        lightning.seed_everything(1)
        data = torch.utils.data.TensorDataset(*rows())
        net = Net()
        trainer = lightning.Trainer(
            max_epochs=4, callbacks=callbacks, logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False, accelerator="cpu", default_root_dir=tmp_path,
        )  # fmt: skip
        trainer.fit(
            net,
            torch.utils.data.DataLoader(data, batch_size=32, shuffle=True),
            torch.utils.data.DataLoader(data, batch_size=64),
        )
        return [p.detach().clone() for p in net.parameters()]

    watched = integrations.LightningDoctor(seconds=5.0, quiet=True)
    assert all(torch.equal(a, b) for a, b in zip(weights([]), weights([watched]), strict=True))
    assert watched.healthy is not fault
    assert ("output-activation" in [d.code for d in watched.diagnoses]) is fault


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("rate", [5e-3, 1e-7])
def test_transformers(rate: float, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    transformers.set_seed(0)
    generator = torch.Generator().manual_seed(0)
    words = torch.randint(3, 40, (320, 8), generator=generator)
    data = [{"input_ids": w, "labels": int(w[0] > 20)} for w in words]
    config = transformers.BertConfig(
        vocab_size=40, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, num_labels=2,
        max_position_embeddings=8,
    )  # fmt: skip
    net = transformers.BertForSequenceClassification(config)
    args = transformers.TrainingArguments(
        output_dir=str(tmp_path), num_train_epochs=12, per_device_train_batch_size=32, learning_rate=rate, report_to=[],
        save_strategy="no", logging_strategy="no", eval_strategy="epoch", use_cpu=True, disable_tqdm=True,
    )  # fmt: skip
    watched = integrations.TransformersDoctor(seconds=10.0, quiet=True)
    transformers.Trainer(
        net, args, train_dataset=data[:256], eval_dataset=data[256:], callbacks=[watched]
    ).train()
    assert watched.visit is not None
    assert watched.visit.trace is not None
    assert watched.visit.trace.facts["score"]["train"] > 0.3
    assert watched.healthy is (rate == 5e-3), [d.to_dict() for d in watched.diagnoses]


@pytest.mark.filterwarnings("ignore")
def test_skorch_needs_no_callback() -> None:
    skorch = pytest.importorskip("skorch")
    x, y = rows()
    net = skorch.NeuralNetClassifier(
        nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2)), criterion=nn.CrossEntropyLoss, lr=0.2, max_epochs=8,
        batch_size=32, verbose=0,
    )  # fmt: skip
    with doctor(seconds=2.0) as visit:
        net.fit(x.numpy(), y.numpy())
    assert visit.trace is not None
    assert visit.trace.facts["steps"] == 64
    assert visit.healthy


def test_a_callback_of_lightning_watches_fits_only(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lightning.pytorch")
    callback = integrations.LightningDoctor(quiet=True)
    callback.setup(SimpleNamespace(is_global_zero=True), None, "validate")
    assert callback.visit is None
