"""How much is measured: the small scale is for every day, the large one for a quiet machine and an hour.

Look next: `benchmarks.__main__`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """Times in seconds, the rest are counts."""

    #: runs of each variant, interleaved with those of the others
    runs: int
    #: one run of the writer under one kind of commands
    writer_seconds: float
    #: one run of cycles over HTTP, and a pause-free warm-up before all runs
    cycle_seconds: float
    warm_up_seconds: float
    #: depths of the queue, ascending
    waiting: tuple[int, ...]
    #: depth of the queues whose jobs use every rule, or all deny one worker
    special: int
    #: runs of the lock's two variants
    lock_runs: int
    #: one run of polls
    poll_seconds: float
    #: executions of the probe's statement
    probes: int
    #: events to replay
    events: int
    #: how long subscriptions are followed
    follow_seconds: float
    #: how many pictures there are to be rated, ascending
    pictures: tuple[int, ...]
    #: pictures and ratings of a release
    release: tuple[int, int]


SMALL = Scale(
    runs=4,
    writer_seconds=0.6,
    cycle_seconds=2.0,
    warm_up_seconds=1.0,
    waiting=(1_000, 10_000),
    special=5_000,
    lock_runs=2,
    poll_seconds=3.0,
    probes=200,
    events=50_000,
    follow_seconds=5.0,
    pictures=(10_000,),
    release=(5_000, 50_000),
)
LARGE = Scale(
    runs=9,
    writer_seconds=5.0,
    cycle_seconds=20.0,
    warm_up_seconds=5.0,
    waiting=(1_000, 100_000, 1_000_000),
    special=100_000,
    lock_runs=5,
    poll_seconds=20.0,
    probes=2_000,
    events=1_000_000,
    follow_seconds=60.0,
    pictures=(10_000, 5_000_000),
    release=(100_000, 1_000_000),
)
