"""Latency and throughput of ``soundfit serve`` for one row a request, on 127.0.0.1 only.

python benchmarks/serve.py RUN [--seconds 5] [--clients 16]

Starts the server as a process of its own, sends the same typical row one at a time (latency), then from
several connections at once (throughput), each for a bounded time, and ends it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import socket
import subprocess
import sys
import time

import numpy as np
import torch

from soundfit.artifact import load_predictor
from soundfit.serve.model import ServedModel

MOST_REQUESTS = 20_000


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def ask(port: int, request: bytes, until: float, most: int) -> list[float]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    took = []
    while time.perf_counter() < until and len(took) < most:
        start = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
        await reader.readexactly(int(length.split(b":")[1]))
        took.append(time.perf_counter() - start)
    writer.close()
    return took


async def measure(port: int, request: bytes, seconds: float, clients: int) -> tuple[list[float], float]:
    start = time.perf_counter()
    jobs = [ask(port, request, start + seconds, MOST_REQUESTS // clients) for _ in range(clients)]
    took = [t for part in await asyncio.gather(*jobs) for t in part]
    return took, len(took) / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--clients", type=int, default=16)
    options = parser.parse_args()
    model = ServedModel(load_predictor(options.run))
    body = json.dumps(model.typical).encode()
    head = f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n"
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "soundfit.cli.main", "serve", options.run, "--port", str(port)]
    )
    try:
        for _ in range(600):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        request = head.encode() + body
        asyncio.run(measure(port, request, 1.0, 1))
        alone, _ = asyncio.run(measure(port, request, options.seconds, 1))
        together, rate = asyncio.run(measure(port, request, options.seconds, options.clients))
    finally:
        server.terminate()
        server.wait(10)
    ms = 1e3 * np.quantile(alone, [0.5, 0.9, 0.99])
    print(f"{platform.machine()}, torch {torch.__version__}, Python {platform.python_version()}")
    print(f"{len(model.predictor.modules)} members, {len(model.columns)} columns")
    print(f"one connection: p50 {ms[0]:.2f} ms, p90 {ms[1]:.2f} ms, p99 {ms[2]:.2f} ms (n={len(alone):,})")
    print(
        f"{options.clients} connections: {rate:.0f} requests/s, p50 {1e3 * np.median(together):.1f} ms "
        f"(n={len(together):,})"
    )


if __name__ == "__main__":
    main()
