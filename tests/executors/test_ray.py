"""Ray: the same bits as on threads, whatever dies on the way, on one machine and on several nodes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from spread import assert_equal, study

from soundfit.bank import chunk_run
from soundfit.errors import UsageError
from soundfit.executors.ray import RayExecutor

ray = pytest.importorskip("ray", reason="Ray is an extra")

pytestmark = [
    pytest.mark.slow,
    # Ray leaves sockets and files to the interpreter's end.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning:ray"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray"),
]


@pytest.fixture(scope="module")
def executor() -> Iterator[RayExecutor]:
    with RayExecutor(workers=2) as opened:
        yield opened


def test_a_study_on_ray_equals_one_on_threads(executor: RayExecutor) -> None:
    epochs: list[int] = []
    assert_equal(study(), study(executor=executor, on_epoch=epochs.append))
    assert sum(epochs) == 8 * 12


def test_a_worker_killed_in_the_middle_is_replaced_and_nothing_is_lost(
    executor: RayExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunk_run, "SAVE_SECONDS", 0.05)
    killed: list[int] = []

    def kill() -> None:
        for _ in range(600):
            for worker in ray.get(executor._desk.workers.remote()):
                os.kill(worker, signal.SIGKILL)
                killed.append(worker)
                return
            time.sleep(0.05)

    whole = study(epochs=300)
    before = executor.retries
    assassin = threading.Thread(target=kill)
    assassin.start()
    spread = study(epochs=300, executor=executor)
    assassin.join()
    assert killed
    assert executor.retries == before + 1
    assert_equal(whole, spread)


def test_a_stop_reaches_the_workers_and_the_checkpoint_goes_on_anywhere(
    executor: RayExecutor, tmp_path: Path
) -> None:
    seen: list[int] = []
    stopped = study(
        epochs=400,
        executor=executor,
        checkpoint=tmp_path,
        on_epoch=seen.append,
        should_stop=lambda: bool(seen),
    )
    assert "interrupted" in {o.status for o in stopped}
    assert list(tmp_path.glob("*.safetensors"))
    whole = study(epochs=400)
    assert_equal(whole, study(epochs=400, checkpoint=tmp_path))
    assert_equal(whole, study(epochs=400, checkpoint=tmp_path, executor=executor))


def test_what_a_job_raises_is_raised_here(executor: RayExecutor) -> None:
    def job(line: Any) -> None:
        line.latest()
        raise ValueError("a job's own error")

    with pytest.raises(ValueError, match="a job's own error"):
        executor.call(job, poll=lambda done, state: False)


CLUSTER = """
import sys, threading, time
sys.path.insert(0, {root!r})
import warnings; warnings.simplefilter("ignore")
from ray.cluster_utils import Cluster
from soundfit.executors.ray import RayExecutor
import spread
if __name__ == "__main__":
    cluster = Cluster(initialize_head=True, head_node_args={{"num_cpus": 0}})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    cluster.wait_for_nodes()
    with RayExecutor(cluster.address) as executor:
        assert executor.slots == 2, executor.slots
        def lose_a_node():
            time.sleep(3)
            cluster.remove_node(nodes[0], allow_graceful=False)
            cluster.add_node(num_cpus=1)
        loss = threading.Thread(target=lose_a_node); loss.start()
        found = spread.study(epochs=300, executor=executor)
        loss.join()
    spread.assert_equal(spread.study(epochs=300), found)
    cluster.shutdown()
    print("equal")
"""


def test_a_cluster_of_several_nodes_gives_the_same_and_may_lose_one(tmp_path: Path) -> None:
    script = tmp_path / "cluster.py"
    script.write_text(CLUSTER.format(root=str(Path(__file__).parent)))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=600, check=False)
    assert done.stdout.strip().endswith("equal"), done.stdout[-2000:] + done.stderr[-4000:]


def test_no_cluster_at_the_address_is_told_in_words(executor: RayExecutor, tmp_path: Path) -> None:
    check = "from soundfit.executors.ray import RayExecutor\nRayExecutor('127.0.0.1:1').__enter__()"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=False)
    assert "--ray-address is the address of a Ray cluster that runs" in done.stderr


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"pip install 'soundfit\[ray\]'"):
        RayExecutor()
