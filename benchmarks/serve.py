"""Latency and throughput of ``soundfit serve`` for one row a request, on 127.0.0.1 only.

python benchmarks/serve.py RUN [--members 1] [--seconds 5] [--clients 16]

Starts the server as a process of its own, sends rows drawn from the columns' ranges and levels (a tenth of
the cells missing) one at a time (latency), then from several connections at once (throughput), each for a
bounded time, and ends it. Where client and server share a core, the server's own CPU time a request tells
what it costs. ``--members`` serves only the members with the largest shares, 1 for a single net.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from importlib import metadata
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from soundfit.artifact import Predictor, load_predictor, save_predictor
from soundfit.data.profile import ColumnProfile
from soundfit.serve.model import ServedModel

MOST_REQUESTS, ROWS = 20_000, 500


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def cell(column: ColumnProfile, rng: np.random.Generator) -> Any:
    """Return a value as a client would send it."""
    if rng.random() < 0.1:
        return None
    if column.kind == "numeric":
        number = float(rng.uniform(column.low, column.high))
        return round(number) if column.whole else round(number, 3)
    if column.kind == "boolean":
        return str(rng.choice(["yes", "no"]))
    if column.kind == "date":
        days = (np.datetime64(column.last[:10]) - np.datetime64(column.first[:10])).astype(int)
        return str(np.datetime64(column.first[:10]) + rng.integers(days + 1))
    return str(rng.choice(column.levels or [""]))


def requests(model: ServedModel) -> list[bytes]:
    """Return requests of different rows."""
    rng = np.random.default_rng(0)
    made = []
    for _ in range(ROWS):
        body = json.dumps({column.name: cell(column, rng) for column in model.columns}).encode()
        head = f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n"
        made.append(head.encode() + body)
    return made


async def ask(port: int, sent: list[bytes], turn: Any, until: float, most: int) -> list[float]:
    """Send requests over one connection, each after the answer to the last; return seconds."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    took: list[float] = []
    while time.perf_counter() < until and len(took) < most:
        request = sent[next(turn) % len(sent)]
        start = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
        await reader.readexactly(int(length.split(b":")[1]))
        took.append(time.perf_counter() - start)
    writer.close()
    return took


async def measure(port: int, sent: list[bytes], seconds: float, clients: int) -> tuple[list[float], float]:
    """Return seconds of each request, and requests a second."""
    start, turn = time.perf_counter(), count()
    jobs = [ask(port, sent, turn, start + seconds, MOST_REQUESTS // clients) for _ in range(clients)]
    took = [t for part in await asyncio.gather(*jobs) for t in part]
    return took, len(took) / (time.perf_counter() - start)


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process so far; NaN where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return float("nan")
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def largest(predictor: Predictor, members: int) -> Predictor:
    """Return a predictor of the members with the largest shares."""
    kept = np.argsort(-np.array(predictor.shares), kind="stable")[:members]
    names = ("modules", "encoders", "scales", "configs")
    parts = {n: tuple(v[k] for k in kept) if (v := getattr(predictor, n)) else () for n in names}
    shares = [predictor.shares[k] for k in kept]
    return replace(predictor, **parts, weights=tuple(s / sum(shares) for s in shares))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--members", type=int)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--clients", type=int, default=16)
    options = parser.parse_args()
    predictor = load_predictor(options.run)
    assert isinstance(predictor, Predictor), "a run on a table"
    with tempfile.TemporaryDirectory() as place:
        run = options.run
        if options.members:
            run = Path(place) / "run"
            predictor = largest(predictor, options.members)
            run.mkdir()
            shutil.copy(options.run / "run.json", run)
            save_predictor(predictor, run / "model")
        port = free_port()
        command = [sys.executable, "-m", "soundfit.cli.main", "serve", str(run), "--port", str(port)]
        server = subprocess.Popen(command)
        try:
            for _ in range(600):
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    time.sleep(0.1)
            model = ServedModel(predictor)
            sent = requests(model)
            asyncio.run(measure(port, sent, 1.0, 1))
            before = cpu_seconds(server.pid)
            alone, _ = asyncio.run(measure(port, sent, options.seconds, 1))
            between = cpu_seconds(server.pid)
            together, rate = asyncio.run(measure(port, sent, options.seconds, options.clients))
            after = cpu_seconds(server.pid)
        finally:
            server.terminate()
            server.wait(10)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    libraries = ", ".join(f"{n} {metadata.version(n)}" for n in ("torch", "fastapi", "uvicorn"))
    print(f"{platform.machine()}, client and server on {cores} core(s), {libraries}")
    print(f"{len(model.predictor.modules)} members, {len(model.columns)} columns")
    ms = 1e3 * np.quantile(alone, [0.5, 0.9, 0.99])
    own = 1e3 * np.array([between - before, after - between]) / [len(alone), len(together)]
    print(
        f"one connection: p50 {ms[0]:.2f} ms, p90 {ms[1]:.2f} ms, p99 {ms[2]:.2f} ms, "
        f"server CPU {own[0]:.2f} ms a request (n={len(alone):,})"
    )
    print(
        f"{options.clients} connections: {rate:.0f} requests/s, p50 {1e3 * np.median(together):.1f} ms, "
        f"server CPU {own[1]:.2f} ms a request (n={len(together):,})"
    )


if __name__ == "__main__":
    main()
