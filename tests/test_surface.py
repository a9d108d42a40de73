"""The public surface: exported names, typed marker, doc examples."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import soundfit

ROOT = Path(soundfit.__file__).parent


def test_exported_names():
    assert soundfit.__all__ == [
        "Config",
        "Halving",
        "Plan",
        "Run",
        "StudyResult",
        "Table",
        "__version__",
        "audit",
        "capacity_curve",
        "cross_validate",
        "doctor",
        "learning_curve",
        "learning_rate_range",
        "load",
        "read",
        "regularization_path",
        "split",
        "train",
    ]
    for name in soundfit.__all__:
        assert getattr(soundfit, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'fit'"):
        soundfit.fit  # noqa: B018


def test_the_doctor_is_called_by_its_name_before_and_after_its_package_is_imported():
    code = """
import torch, soundfit as sf
for _ in range(2):
    model = torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with sf.doctor(model, optimizer) as visit:
        model(torch.ones(4, 2)).mean().backward()
        optimizer.step()
    visit.diagnoses
    import soundfit.doctor.script
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_importing_soundfit_imports_nothing_heavy():
    code = "import soundfit, sys; assert not {'torch', 'pandas', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_package_is_typed():
    assert (ROOT / "py.typed").is_file()


def _modules():
    for info in pkgutil.walk_packages([str(ROOT)], "soundfit."):
        text = (ROOT / Path(*info.name.split(".")[1:])).with_suffix(".py")
        if text.is_file() and ">>>" in text.read_text(encoding="utf-8"):
            yield info.name


@pytest.mark.parametrize("name", list(_modules()))
def test_docstring_examples(name):
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        # Integrations name a library that is an extra.
        assert name.startswith("soundfit.integrations.")
        pytest.skip(f"needs {error.name}")
    result = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.attempted
    assert result.failed == 0


def test_no_file_is_longer_than_it_should_be():
    for path in ROOT.rglob("*.py"):
        n_lines = len(path.read_text(encoding="utf-8").splitlines())
        assert n_lines <= 520, f"{path.name} has {n_lines} lines: split it by noun"
        assert path.stem not in {"utils", "helpers", "core", "manager", "common", "misc"}
