"""Doing several things at once in threads, with results in the order in which they were asked for."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["Job", "Turn", "run_jobs"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Turn:
    """What a job is told when its turn comes.

    Attributes:
        place: Which of the places it has, counted from 1: no other job has the same one at that time.
        cancelled: Set when it should break off what it does.
    """

    place: int
    cancelled: threading.Event


@dataclass(frozen=True, slots=True)
class Job(Generic[T]):
    """Something to do.

    Attributes:
        act: Does it.
        alone: Whether nothing else may be done meanwhile.
    """

    act: Callable[[Turn], T]
    alone: bool = False


def run_jobs(jobs: Sequence[Job[T]], at_once: int) -> list[T]:
    """Do jobs, so many at once; those that bear no company come last, one by one.

    An error of one, or an interrupt, cancels the others, waits until they have ended, and goes on up.

    Args:
        jobs: What to do.
        at_once: How many at most; with one, each is done in the calling thread and in the order given.

    Returns:
        What came of each, in the order of ``jobs``.
    """
    cancelled = threading.Event()
    if at_once == 1:
        return [job.act(Turn(1, cancelled)) for job in jobs]
    done: dict[int, T] = {}
    together = [number for number, job in enumerate(jobs) if not job.alone]
    done.update(_at_once({number: jobs[number] for number in together}, at_once, cancelled))
    for number, job in enumerate(jobs):
        if job.alone:
            done[number] = job.act(Turn(1, cancelled))
    return [done[number] for number in range(len(jobs))]


def _at_once(jobs: dict[int, Job[T]], at_once: int, cancelled: threading.Event) -> dict[int, T]:
    places: queue.SimpleQueue[int] = queue.SimpleQueue()
    for place in range(1, at_once + 1):
        places.put(place)

    def take_turn(job: Job[T]) -> T:
        place = places.get()
        try:
            return job.act(Turn(place, cancelled))
        finally:
            places.put(place)

    with ThreadPoolExecutor(at_once, thread_name_prefix="job") as pool:
        futures: dict[Future[T], int] = {}
        try:
            futures.update((pool.submit(take_turn, job), number) for number, job in jobs.items())
            ended, left = wait(futures, return_when=FIRST_EXCEPTION)
            broken = [future for future in ended if future.exception() is not None]
        except BaseException:
            cancelled.set()
            pool.shutdown(cancel_futures=True)
            raise
        if left:
            cancelled.set()
            pool.shutdown(cancel_futures=True)
    for future in broken:
        future.result()
    return {number: future.result() for future, number in futures.items()}
