"""Batches spread over the workers of a Dask cluster, each of which writes its own chunks.

A worker runs the engine that one machine runs. No two workers write one chunk of the arrays, and
what a worker writes depends on nothing but the images: a batch whose worker was lost is computed
again by another, over whatever the first had written.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from threading import Lock
from typing import TYPE_CHECKING

import torch
from dask.distributed import Client, KilledWorker, LocalCluster, as_completed

from helpers import extend
from helpers.checks import WorkbookError
from helpers.runs.compute.engine import Batch, Engine, Outcome
from helpers.runs.compute.worker_pool import limit_others
from helpers.runs.parameters import Parameters
from helpers.runs.storage.arrays import Arrays

if TYPE_CHECKING:
    from distributed import Future

BATCHES_PER_THREAD = 2
SECONDS_TO_ANSWER = 10
CHANGE = "change "

_engines: dict[str, Engine] = {}
_opening = Lock()


@dataclass(frozen=True)
class Job:
    """What a worker must know to compute any batch of a run."""

    parameters: Parameters
    place: str  # path or URL of the arrays
    # what the values of the arrays depend on, as the run that asks sees it
    identity: Mapping[str, object]

    @property
    def key(self) -> str:
        """The same for jobs that one engine serves."""
        return json.dumps([self.parameters.model_dump(), self.place, self.identity])


def fill(job: Job, batches: Sequence[Batch]) -> Iterator[Outcome]:
    """Compute batches on the cluster that the parameters name."""
    with _client(job.parameters.cluster) as client:
        threads = sum(client.nthreads().values())
        futures = _ahead(client, job, batches, BATCHES_PER_THREAD * threads)
        try:
            for future in futures:
                yield future.result().shared_by(threads)
        except KilledWorker as error:
            raise WorkbookError(
                "Several workers were lost while they computed the same images, perhaps for want of"
                " memory; start fewer on each machine, and give the same command again."
            ) from error


def _ahead(client: Client, job: Job, batches: Sequence[Batch], waiting: int) -> Iterator["Future"]:
    # All at once, a million batches would only fill the scheduler's memory.
    left = iter(batches)

    def submit(batch: Batch) -> "Future":
        return client.submit(_fill, batch, job, pure=False)

    futures = as_completed([submit(batch) for batch in islice(left, waiting)])
    for future in futures:
        futures.update([submit(batch) for batch in islice(left, 1)])
        yield future


@contextmanager
def _client(cluster: str) -> Iterator[Client]:
    kind, _, number = cluster.partition(":")
    if kind == "local":
        options = {"threads_per_worker": 1, "dashboard_address": ":0"}
        with LocalCluster(n_workers=int(number), **options) as workers, Client(workers) as client:
            yield client
        return
    try:
        client = Client(cluster, timeout=SECONDS_TO_ANSWER)
    except OSError as error:
        raise WorkbookError(
            f"No scheduler answers at {cluster}; start one with `dask scheduler`, and workers with"
            " `dask worker`, or give local:N."
        ) from error
    with client:
        yield client


def _fill(batch: Batch, job: Job) -> Outcome:
    """Compute a batch in a thread of a worker, which has a core of its own."""
    torch.set_num_threads(1)
    return _engine(job).fill_alone(batch)


def _engine(job: Job) -> Engine:
    with _opening:
        if job.key not in _engines:
            limit_others()
            _engines.clear()  # a run that is over needs its model no longer
            _ = job.parameters.extension  # registers the rows of its file
            _check_rows(job.identity["own"])
            engine = Engine(job.parameters, Arrays(job.place), job.identity)
            engine.model  # noqa: B018  loaded once, and not by every thread
            _engines[job.key] = engine
        return _engines[job.key]


def _check_rows(registered: Mapping[str, str]) -> None:
    """Check that a run's own changes and scores are here and the same; images bring theirs."""
    changes = [row.removeprefix(CHANGE) for row in registered if row.startswith(CHANGE)]
    here = extend.fingerprint(changes)
    needed = {row: code for row, code in registered.items() if not row.startswith("source ")}
    if missing := [row for row, code in needed.items() if here.get(row) != code]:
        raise WorkbookError(
            f"The cluster's workers don't have the {missing[0]!r} of this run; write it into a file"
            " that is the same on all machines, and give that by -p extend."
        )
