"""Threads side by side: how many, how far ahead, and what is left as it was."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event
from time import sleep

import cv2
import pytest
import torch
from threadpoolctl import threadpool_info

from helpers.runs.compute.worker_pool import ahead, worker_pool


def numpy_threads():
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


@pytest.mark.parametrize("count", [1, 2, 64])
def test_lanes_share_the_cores(count):
    cores = torch.get_num_threads()
    with worker_pool(count) as pool:
        each = {pool.submit(torch.get_num_threads).result() for _ in range(4)}
        assert each == {max(1, cores // count)}
        assert cv2.getNumThreads() == 1
        assert set(numpy_threads()) <= {1}


def test_threads_are_as_before_after_an_error():
    before = torch.get_num_threads(), cv2.getNumThreads(), numpy_threads()
    with pytest.raises(ZeroDivisionError), worker_pool(2) as pool:
        pool.submit(lambda: 1 / 0).result()
    assert (torch.get_num_threads(), cv2.getNumThreads(), numpy_threads()) == before
    with ThreadPoolExecutor(1) as later:
        assert later.submit(torch.get_num_threads).result() == before[0]


def test_results_come_in_order_and_not_too_far_ahead():
    started, first_may_end = [], Event()

    def work(item):
        started.append(item)
        if item == 0:
            first_may_end.wait()
        return -item

    with ThreadPoolExecutor(8) as pool:
        results = ahead(pool, work, range(10), waiting=3)
        first_may_end.set()
        assert next(results) == 0
        assert len(started) <= 3
        assert list(results) == [-item for item in range(1, 10)]


def test_what_waits_is_not_begun_after_an_interrupt():
    started = []

    def work(item):
        started.append(item)
        sleep(0.05)

    with ThreadPoolExecutor(1) as pool:
        results = ahead(pool, work, range(20), waiting=10)
        next(results)
        results.close()  # as an interrupt does
    assert len(started) < 5
