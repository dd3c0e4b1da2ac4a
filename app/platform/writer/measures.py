"""What the writer tells of itself, counted after the lock is free. Look next: `app.platform.metrics`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.platform import metrics
from app.platform.commands import Done, Rejection, Request
from app.platform.metrics import child


def committed(waited: float, held: float, commit: float) -> None:
    """A batch was committed: seconds that it waited for the lock, held it, and that its last round trip took."""
    metrics.WRITER_LOCK_WAIT_SECONDS.observe(waited)
    metrics.WRITER_HELD_SECONDS.observe(held)
    metrics.WRITER_COMMIT_SECONDS.observe(commit)


def answered(requests: Sequence[Request], outcomes: Sequence[Any], waited: Sequence[float]) -> None:
    """The commands of a batch were answered; each waited so many seconds before the batch began."""
    metrics.WRITER_BATCH_COMMANDS.observe(len(requests))
    for request, outcome, seconds in zip(requests, outcomes, waited, strict=True):
        metrics.WRITER_QUEUE_SECONDS.observe(seconds)
        child(metrics.WRITER_COMMANDS, type(request.command).__name__, _word(outcome)).inc()
        if isinstance(outcome, Rejection):
            child(metrics.WRITER_REJECTIONS, outcome.code).inc()


def failed(reason: str) -> None:
    """An attempt at a batch came to nothing."""
    child(metrics.WRITER_FAILURES, reason).inc()


def turned_away(reason: str, commands: int = 1) -> None:
    """Commands were not decided: the callers are told to try again."""
    child(metrics.WRITER_BUSY, reason).inc(commands)


def looked_up(outcome: str) -> None:
    """A commit was not answered, and this is what the log said of it."""
    child(metrics.WRITER_UNKNOWN, outcome).inc()


def _word(outcome: Any) -> str:
    if isinstance(outcome, Done):
        return "repeated" if outcome.repeated else "accepted"
    return "rejected" if isinstance(outcome, Rejection) else "failed"
