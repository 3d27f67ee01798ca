"""Waiting for work that goes on in threads of its own, until it ends or shall end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from pcdr._pcdr import Job, Progress

T = TypeVar("T")

# How long Ctrl-C may wait to be noticed.
_PATIENCE_SECONDS = 0.1


def finish(job: Job[T], progress: Callable[[Progress], object] | None = None) -> T:
    """The job's result; what happens in it is told to ``progress`` in this thread.

    Whatever is raised here meanwhile (Ctrl-C, or by ``progress``) asks the work to stop, is held until
    it has stopped, and goes on then. Raised a second time, it ends the work wherever it is.
    """
    try:
        while True:
            has_ended = job.wait(_PATIENCE_SECONDS)
            _tell(job, progress)
            if has_ended:
                return job.result()
    except BaseException:
        job.cancel()
        try:
            while not job.wait(_PATIENCE_SECONDS):
                job.events()
        except BaseException:
            job.abort()
            raise
        raise


def _tell(job: Job[T], progress: Callable[[Progress], object] | None) -> None:
    for event in job.events():
        if progress is not None:
            progress(event)
