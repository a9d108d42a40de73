"""MLflow: one run a training, through MLflow's client; MLflow's active run stays as it is.

Goes to ``MLFLOW_TRACKING_URI`` where that is set, else to a database file in the run folder.
"""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

import numpy as np

from soundfit.integrations.training_log import TrainingLog

__all__ = ["write_mlflow"]

# What the tracking server takes in one request.
_MOST_METRICS = 1000
_MOST_VALUE = 500


def write_mlflow(log: TrainingLog, folder: Path) -> str:
    """Log one run and return the address of the store."""
    for chatty in ("mlflow", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    from mlflow.entities import Metric, Param, RunTag
    from mlflow.tracking import MlflowClient

    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    artifacts = None
    if not uri:
        folder.mkdir(parents=True, exist_ok=True)
        uri = f"sqlite:///{folder.absolute() / 'mlflow.db'}"
        artifacts = (folder.absolute() / "artifacts").as_uri()
    client = MlflowClient(tracking_uri=uri)
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "soundfit")
    known = client.get_experiment_by_name(name)
    experiment = known.experiment_id if known else client.create_experiment(name, artifact_location=artifacts)
    run = client.create_run(experiment, run_name=log.name).info.run_id
    now = int(time.time() * 1000)
    metrics = [Metric(score, value, now, 0) for score, value in log.scores.items()]
    metrics += [
        Metric(f"{series}/{member.name}", float(value), now, int(epoch))
        for member in log.members
        for series, values in member.losses.items()
        for epoch, value in zip(member.epochs, values, strict=True)
        if np.isfinite(value)
    ]
    client.log_batch(
        run,
        params=[Param(k, str(v)[:_MOST_VALUE]) for k, v in log.parameters.items()],
        tags=[RunTag(k, v[:_MOST_VALUE]) for k, v in log.words.items()],
    )
    for start in range(0, len(metrics), _MOST_METRICS):
        client.log_batch(run, metrics=metrics[start : start + _MOST_METRICS])
    client.set_terminated(run, status="FINISHED" if log.finished else "KILLED")
    return uri
