"""Batches spread over the workers of a Dask cluster, each of which writes its own chunks.

A worker runs the engine that one machine runs. No two workers write one chunk of the arrays, and
what a worker writes depends on nothing but the images: a batch whose worker was lost is computed
again by another, over whatever the first had written.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from threading import Lock
from typing import TYPE_CHECKING

import torch
from dask.distributed import Client, KilledWorker, LocalCluster, as_completed

from helpers.checks import WorkbookError
from helpers.study.engine import Batch, Engine, Outcome
from helpers.study.lanes import limit_others
from helpers.study.parameters import Parameters

if TYPE_CHECKING:
    from distributed import Future

BATCHES_PER_THREAD = 2
SECONDS_TO_ANSWER = 10

_engines: dict[str, Engine] = {}
_opening = Lock()


def fill(parameters: Parameters, place: str, batches: Sequence[Batch]) -> Iterator[Outcome]:
    """Compute batches on the cluster that the parameters name.

    Parameters
    ----------
    parameters : Parameters
        ``cluster`` is ``local:N`` for N processes on this machine, or the address of a scheduler.
    place : str
        Path or URL of the arrays, with room for all variables; every worker must reach it.
    batches : sequence of Batch
        No two in one chunk.

    Yields
    ------
    Outcome
        Of each batch in the order in which they end, when its values are written.

    Raises
    ------
    WorkbookError
        If no scheduler answers, or several workers died of one batch.
    """
    with _client(parameters.cluster) as client:
        threads = sum(client.nthreads().values())
        futures = _ahead(client, parameters, place, batches, BATCHES_PER_THREAD * threads)
        try:
            for future in futures:
                yield future.result().shared_by(threads)
        except KilledWorker as error:
            raise WorkbookError(
                "Several workers were lost while they computed the same images, perhaps for want of"
                " memory; start fewer on each machine, and give the same command again."
            ) from error


def _ahead(
    client: Client, parameters: Parameters, place: str, batches: Sequence[Batch], waiting: int
) -> Iterator["Future"]:
    # All at once, a million batches would only fill the scheduler's memory.
    left = iter(batches)

    def submit(batch: Batch) -> "Future":
        return client.submit(_fill, batch, parameters, place, pure=False)

    futures = as_completed([submit(batch) for batch in islice(left, waiting)])
    for future in futures:
        futures.update([submit(batch) for batch in islice(left, 1)])
        yield future


@contextmanager
def _client(cluster: str) -> Iterator[Client]:
    kind, _, number = cluster.partition(":")
    if kind == "local":
        options = {"threads_per_worker": 1, "dashboard_address": ":0"}
        with LocalCluster(n_workers=int(number), **options) as own, Client(own) as client:
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


def _fill(batch: Batch, parameters: Parameters, place: str) -> Outcome:
    """Compute a batch in a thread of a worker, which has a core of its own."""
    torch.set_num_threads(1)
    return _engine(parameters, place).fill_alone(batch)


def _engine(parameters: Parameters, place: str) -> Engine:
    with _opening:
        if place not in _engines:
            limit_others()
            _engines.clear()  # a run that is over needs its model no longer
            _engines[place] = Engine(parameters, place)
            _engines[place].model  # noqa: B018  loaded once, and not by every thread
        return _engines[place]
