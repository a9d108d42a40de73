"""Step times of a bank: an eager loop with fused AdamW, plain ``torch.func``, and soundfit's tape.

    python benchmarks/bank.py [--full] [--device cuda] [--precision high] [--write]

A step is everything between two optimiser updates, batch selection included. The loop trains members one
after the other, so its time for M members is M times that of one. Where M members exceed a chunk, one
chunk is timed and scaled. Memory is the peak that a member needs while its bank trains: measured on a GPU,
the estimate that chunks are cut by on a CPU. ``--write`` puts the table into docs/performance.md.
"""

from __future__ import annotations

import argparse
import gc
import re
import statistics
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from soundfit.bank import Bank, BankData, MemberRows
from soundfit.bank.chunk import MemberNeed, activation_elements, members_at_once
from soundfit.bank.fused import availability
from soundfit.bank.loss import resolve_loss
from soundfit.bank.stack import stack_modules
from soundfit.records import Config
from soundfit.workflow.hardware import describe_hardware

SHAPES = {
    "10-16-16-1": ((10, 16, 16, 1), 32),
    "20-64-64-1": ((20, 64, 64, 1), 32),
    "50-128-128-1": ((50, 128, 128, 1), 128),
    "100-256-256-256-1": ((100, 256, 256, 256, 1), 256),
    "784-256-256-1": ((784, 256, 256, 1), 256),
}
MARK = "bank-steps"


def mlp(sizes: tuple[int, ...]) -> nn.Module:
    layers: list[nn.Module] = []
    for a, b in pairwise(sizes[:-1]):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1]))


def cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(32 * 49, 1),
    )  # fmt: skip


def seconds(run: Callable[[], None], device: torch.device, *, at_least: float) -> float:
    """Return the median seconds of one ``run``, timed for about ``at_least`` seconds after a warm-up."""

    def once() -> float:
        start = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - start

    once()
    times = [once()]
    while sum(times) < at_least or len(times) < 3:
        times.append(once())
    return statistics.median(times)


def loop_step(make: Callable[[], nn.Module], x: Tensor, y: Tensor, batch: int) -> Callable[[], None]:
    module = make().to(x.device)
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-3, fused=True)
    order = torch.randperm(len(x), device=x.device)
    at = iter(range(10**9))

    def step() -> None:
        rows = order[(next(at) * batch) % (len(x) - batch) :][:batch]
        optimizer.zero_grad()
        nn.functional.mse_loss(module(x[rows]), y[rows]).backward()
        optimizer.step()

    return step


def open_bank(
    make: Callable[[], nn.Module], m: int, data: BankData, batch: int, trace: bool, precision: str
) -> Bank:
    stack = stack_modules([make() for _ in range(m)], sample=data.sample(batch), device=data.inputs_VN.device)
    n = data.n_rows
    # Ten folds, as in a study: their members read different rows.
    folds = min(10, m)
    rows = [MemberRows(0, np.arange(n), np.arange(4), i * folds // m) for i in range(m)]
    configs = [Config(epochs=10**4, batch_size=batch, schedule="constant", warmup=0.0)] * m
    loss = resolve_loss("mse")
    bank = Bank(stack, configs, rows, data, loss, seeds=range(m), evaluate_every=10**4, trace=trace)
    bank.program.autocast = precision == "bf16"
    return bank


def row(
    name: str,
    make: Callable[[], nn.Module],
    shape: tuple[int, ...],
    batch: int,
    args: argparse.Namespace,
    counts: list[int],
) -> list[str]:
    device = torch.device(args.device)
    # An epoch's order is drawn once for all its steps: as many of them as a small table has.
    steps = 32 if device.type == "cuda" else 4
    n = batch * steps
    x, y = torch.randn(n, *shape, device=device), torch.randn(n, 1, device=device)
    data = BankData(x.unsqueeze(0), y.unsqueeze(0))
    one = seconds(loop_step(make, x, y, batch), device, at_least=args.seconds)
    module = make().to(device)
    n_parameters = sum(p.numel() for p in module.parameters())
    need = MemberNeed(n_parameters, activation_elements(module, x[:batch]), n_inputs=x[:batch].numel())
    chunk = members_at_once(need, device=device)
    lines = []
    for m in counts:
        at_once = min(m, chunk)
        cells = []
        for trace in (False, True):
            if not trace and (m > 10 and not args.full):
                cells.append(None)
                continue
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(device)
                before = torch.cuda.memory_allocated(device)
            bank = open_bank(make, at_once, data, batch, trace, args.precision)
            cells.append(seconds(bank.run_epoch, device, at_least=args.seconds) / steps * m / at_once)
            del bank
            gc.collect()
            member_bytes = need.peak_bytes
            if device.type == "cuda":
                member_bytes = (torch.cuda.max_memory_allocated(device) - before) // at_once
        func, tape = cells
        assert tape is not None
        lines.append(
            f"| {name} | {batch} | {m} | {at_once} | {one * m * 1e3:.3g} | "
            f"{'–' if func is None else f'{func * 1e3:.3g}'} | {tape * 1e3:.3g} | {one * m / tape:.3g} | "
            f"{tape / one:.3g} | {member_bytes / 2**20:.3g} |"
        )
        print(lines[-1], flush=True)
    return lines


def write(path: Path, mark: str, text: str) -> None:
    """Replace the part of a page between two marks, or append it."""
    page = path.read_text() if path.exists() else "# Performance\n"
    block = f"<!-- {mark} -->\n{text}\n<!-- /{mark} -->"
    pattern = re.compile(rf"<!-- {mark} -->.*?<!-- /{mark} -->", re.DOTALL)
    page = pattern.sub(lambda _: block, page) if pattern.search(page) else f"{page.rstrip()}\n\n{block}\n"
    path.parent.mkdir(exist_ok=True)
    path.write_text(page)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--full", action="store_true", help="every cell, and longer timings")
    parser.add_argument("--write", action="store_true", help="into docs/performance.md")
    parser.add_argument(
        "--precision", default="highest", choices=("highest", "high", "bf16"), help="high: TF32"
    )
    parser.add_argument("--members", type=int, nargs="+", default=[1, 10, 80, 640])
    args = parser.parse_args()
    args.seconds = 2.0 if args.full else 0.3
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("highest" if args.precision == "bf16" else args.precision)
    torch.backends.cudnn.allow_tf32 = args.precision == "high"
    torch.manual_seed(0)
    header = [
        "| net | batch | M | chunk | loop, ms | torch.func, ms | soundfit, ms | × the loop | of one run "
        "| MiB a member |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    print("\n".join(header))
    lines = list(header)
    for name, (sizes, batch) in SHAPES.items():
        lines += row(name, lambda sizes=sizes: mlp(sizes), (sizes[0],), batch, args, args.members)  # type: ignore[misc]
    cuda = args.device.startswith("cuda")
    lines += row(
        "CNN 16-32, 28×28",
        cnn,
        (1, 28, 28),
        128,
        args,
        [m for m in (1, 10, 40) if m in args.members or m == 40] if cuda else [1, 4],
    )
    about = ", ".join(str(v) for v in describe_hardware(torch.device(args.device)).values())
    optimiser = ""
    if cuda:
        optimiser = (
            f", without fused AdamW: {availability.reason}" if availability.reason else ", fused AdamW"
        )
    note = (
        f"One training step of M members, milliseconds (median, timed for {args.seconds} s, one torch "
        f"thread, precision {args.precision!r}, device {args.device}{optimiser}). Hardware: {about}; "
        f"torch {torch.__version__}. Command: `python benchmarks/bank.py{' --full' if args.full else ''}`."
    )
    print("\n" + note)
    if args.write:
        write(Path(__file__).parents[1] / "docs" / "performance.md", f"{MARK}-{args.device}",
              "## Steps of a bank\n\n" + note + "\n\n" + "\n".join(lines))  # fmt: skip


if __name__ == "__main__":
    main()
