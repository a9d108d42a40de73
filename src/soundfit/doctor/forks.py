"""Retrainings as forks of one process that has loaded torch: loading it again for each would cost more than most.

Run as ``python -m soundfit.doctor.forks MODULE…``: loads the modules, then reads a line ``SECONDS<tab>SPEC`` for each
trial and answers with its exit code. Nothing is computed before a fork, so that each begins as a fresh process would.
"""

# ruff: noqa: E501

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import IO

__all__ = ["Forks", "shared_modules"]

_WORTH_LOADING = ("torch", "numpy", "pandas", "scipy", "sklearn", "torchvision")


def shared_modules(loaded: Iterable[str]) -> list[str]:
    """Return which of the modules that a script loaded are worth loading before the forks."""
    names = {n for n in loaded if n.split(".")[0] in _WORTH_LOADING and n.count(".") <= 1}
    plain = (n for n in names if not any(part.startswith("_") for part in n.split(".")))
    late = {"torch._dynamo"} & names  # the first optimiser loads it: 2 s of each retraining
    return sorted({n for n in plain if not n.startswith("torch.")} | late)


class Forks:
    """The process that forks. Without ``os.fork``, or where it fails, trials are processes of their own."""

    def __init__(self, work: Path, modules: list[str]) -> None:
        self.work = work
        self.process: subprocess.Popen[str] | None = None
        if hasattr(os, "fork"):
            command = [sys.executable, "-m", "soundfit.doctor.forks", *modules]
            environment = {**os.environ, "PYTHONHASHSEED": os.environ.get("PYTHONHASHSEED", "0")}
            self.process = subprocess.Popen(
                command, cwd=work, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                text=True, env=environment,
            )  # fmt: skip

    def run(self, spec: Path, seconds: float) -> int | None:
        """Run one trial and return its exit code; None where its time ended."""
        if self.process is not None and self.process.stdin and self.process.stdout:
            with contextlib.suppress(OSError):
                self.process.stdin.write(f"{seconds:.3f}\t{spec}\n")
                self.process.stdin.flush()
                answer = self.process.stdout.readline().strip()
                if answer:
                    return None if answer == "late" else int(answer)
            self.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            return subprocess.run(
                [sys.executable, "-m", "soundfit.doctor.trial", str(spec)], cwd=self.work, check=False,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, timeout=seconds,
            ).returncode  # fmt: skip
        return None

    def close(self) -> None:
        """End the process."""
        if self.process is not None:
            if self.process.stdin:
                with contextlib.suppress(OSError):
                    self.process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(5)
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            if self.process.stdout:
                self.process.stdout.close()
            self.process = None


def serve(orders: IO[str], answers: IO[str]) -> None:
    """Fork for each order until there are no more."""
    from soundfit.doctor.trial import main as trial

    for order in orders:
        seconds, spec = order.rstrip("\n").split("\t", 1)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.setsid()
                nothing = os.open(os.devnull, os.O_RDWR)
                for stream in (0, 1, 2):
                    os.dup2(nothing, stream)
                code = trial(spec)
            finally:
                os._exit(code)
        print(_waited(child, float(seconds)), file=answers, flush=True)


def _waited(child: int, seconds: float) -> str:
    end = time.monotonic() + seconds
    pause = 0.005
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return str(os.waitstatus_to_exitcode(status))
        if time.monotonic() > end:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
            return "late"
        time.sleep(pause)
        pause = min(0.1, pause * 1.5)


def main(modules: list[str]) -> None:
    """Load what trials need, then serve."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a module prints when it is loaded is no answer
    for name in [
        "torch",
        "soundfit.doctor.changes",
        "soundfit.doctor.script",
        "soundfit.doctor.watch",
        *modules,
    ]:
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    serve(sys.stdin, answers)


if __name__ == "__main__":
    main(sys.argv[1:])
