"""Threads side by side, each with its share of the machine's cores."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch
from threadpoolctl import threadpool_limits

from helpers.data.opencv import cv2

T, R = TypeVar("T"), TypeVar("R")


@contextmanager
def worker_pool(count: int, device: str = "cpu") -> Iterator[Executor]:
    """Open threads that don't wait for one another: each has cores of its own.

    A thread does all that an image needs, from its file to its scores. Two threads with one core
    each are faster than one pass on two cores, whose halves wait for each other in every product.
    """
    cores = torch.get_num_threads()
    pool = ThreadPoolExecutor(count, "worker", _begin, (max(1, cores // count), device))
    try:
        with others_limited(), pool:
            yield pool
    finally:
        # A thread that starts later takes the number that was set last, in whichever thread.
        torch.set_num_threads(cores)


def _begin(cores: int, device: str) -> None:
    torch.set_num_threads(cores)
    if device.startswith("cuda"):
        stream = torch.cuda.Stream(device)
        stream.wait_stream(torch.cuda.default_stream(device))  # on which the weights were loaded
        torch.cuda.set_stream(stream)


@contextmanager
def others_limited() -> Iterator[None]:
    """Keep OpenCV and NumPy from starting threads beside those that call them, for a while."""
    before = cv2.getNumThreads()
    limits = limit_others()
    try:
        yield
    finally:
        limits.restore_original_limits()
        cv2.setNumThreads(before)


def limit_others() -> threadpool_limits:
    """Keep OpenCV and NumPy from starting threads beside those that call them, from now on."""
    cv2.setNumThreads(1)
    return threadpool_limits(1, user_api="blas")


def ahead(
    pool: Executor, function: Callable[[T], R], items: Iterable[T], waiting: int
) -> Iterator[R]:
    """Map a function over items in their order, a few results ahead and no more."""
    futures = deque()
    try:
        for item in items:
            futures.append(pool.submit(function, item))
            if len(futures) == waiting:
                yield futures.popleft().result()
        while futures:
            yield futures.popleft().result()
    finally:  # of an interrupt or an error: nobody will take what has not begun
        for future in futures:
            future.cancel()
