"""Audit at scale: seconds and peak memory for a table of a million rows and 50 columns.

    OMP_NUM_THREADS=2 python benchmarks/audit.py [--rows 1000000] [--columns 50] [--planted]

The table mixes 30 numbers, 12 categories, 6 whole numbers, a date and an identifier. ``--planted`` adds
copies, a noisy copy of the target and an entity, which must be found. Aim: 60 s and 6 GiB on two cores.
Reading is not part of the measure: the table is made in memory.
"""

from __future__ import annotations

import argparse
import platform
import resource
import sys
import time

import numpy as np
import pandas as pd

from soundfit.data.audit import audit
from soundfit.data.source import read


def make_table(n_rows: int, n_columns: int, *, planted: bool, seed: int = 0) -> pd.DataFrame:
    """Return a table with target ``y``."""
    rng = np.random.default_rng(seed)
    n_words, n_whole = n_columns // 4, n_columns // 8
    n_numbers = n_columns - n_words - n_whole - 2
    columns: dict[str, object] = {"row_id": np.arange(n_rows)}
    x = rng.normal(size=(n_numbers, n_rows))
    columns |= {f"x{i}": x[i] for i in range(n_numbers)}
    for i in range(n_words):
        levels = np.array([f"level {j}" for j in range(3 + 12 * i)], dtype=object)
        columns[f"word{i}"] = levels[rng.integers(0, len(levels), n_rows)]
    columns |= {f"count{i}": rng.poisson(2 + 5 * i, n_rows) for i in range(n_whole)}
    days = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 1500, n_rows), unit="D")
    columns["day"] = days
    columns["y"] = 2 * x[0] + np.sin(2 * x[1]) + x[2] * x[3] + rng.normal(size=n_rows)
    frame = pd.DataFrame(columns)
    if planted:
        frame["leak"] = frame["y"] * 3 + 0.01 * rng.normal(size=n_rows)
        frame["user_id"] = rng.integers(0, n_rows // 10, n_rows)
        frame = pd.concat([frame, frame.sample(n_rows // 10, random_state=seed)], ignore_index=True)
        frame["row_id"] = np.arange(len(frame))
    return frame


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--columns", type=int, default=50)
    parser.add_argument("--planted", action="store_true")
    options = parser.parse_args()
    frame = make_table(options.rows, options.columns, planted=options.planted)
    table = read(frame, target="y")
    del frame
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    start, start_cpu = time.perf_counter(), time.process_time()
    findings = audit(table)
    seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    for finding in findings:
        print(f"{finding.severity:8}{finding.code:18}{', '.join(finding.columns[:6])}")
    print(
        f"{len(table):,} rows × {len(table.columns)} columns: {seconds:.1f} s ({cpu:.1f} s of CPU), "
        f"peak {peak:.2f} GiB "
        f"({before:.2f} GiB before the audit); Python {platform.python_version()}, {platform.machine()}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
