"""Whole cycles over HTTP against one API process: submit, pop, upload, deliver, read the job.

Two variants, run in turn: with a picture of 40 kB uploaded to S3 and checked by the server, and with the picture
withheld by the worker (CENSORED), which by the rules needs no object: the difference is the price of objects.
Look next: `benchmarks.load`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from benchmarks import children, commands, load
from benchmarks.figures import Table, ms, spread
from benchmarks.lab import Api, Lab
from benchmarks.scale import Scale
from benchmarks.workload import Workload, picture

CLIENTS = 32
SEED = 2


@dataclass
class Runs:
    """The figures of one variant over all of its runs."""

    picture: bytes | None
    #: cycles a second of each run
    rates: list[float] = field(default_factory=list)
    #: seconds of each cycle
    latencies: list[float] = field(default_factory=list)
    #: CPU seconds by process over all runs
    cpu: dict[str, float] = field(default_factory=dict)


def measure(lab: Lab, scale: Scale) -> list[Table]:
    """The cycles' table."""
    settings = lab.database()
    uploaded = picture()
    variants = {
        f"picture of {len(uploaded) / 1000:.0f} kB uploaded and checked": Runs(uploaded),
        "picture withheld (CENSORED), no object": Runs(None),
    }
    with commands.writer_of(settings) as writer:
        commands.populate(writer, settings.pepper, Workload(SEED, 2 * CLIENTS).people)
    with lab.api(settings) as api:
        for number, runs in enumerate(variants.values()):
            children.run(load.cycles, _plan(api, scale.warm_up_seconds, runs.picture, f"warm-up {number}"))
        for turn in range(scale.runs):
            for name, runs in variants.items():
                _run(lab, api, runs, _plan(api, scale.cycle_seconds, runs.picture, f"{name} {turn}"))
    return [_table(variants)]


def _plan(api: Api, seconds: float, uploaded: bytes | None, run: str) -> load.Cycles:
    return load.Cycles(
        url=api.graphql, seed=SEED, clients=CLIENTS, seconds=seconds, picture=uploaded, run=run
    )


def _run(lab: Lab, api: Api, runs: Runs, plan: load.Cycles) -> None:
    with children.Child(load.cycles, plan) as child:
        child.ready()
        before = lab.cpu(api)
        answer = child.answer()
        after = lab.cpu(api)
    latencies, seconds = answer.value
    runs.rates.append(len(latencies) / seconds)
    runs.latencies += latencies
    used = {name: after[name] - before[name] for name in before} | {"load": answer.cpu}
    for name, cpu in used.items():
        runs.cpu[name] = runs.cpu.get(name, 0.0) + cpu


def _table(variants: dict[str, Runs]) -> Table:
    return Table(
        title="Whole cycle over HTTP, one API process, 32 clients in a closed loop",
        header=(
            *("", "cycles/s", "p50 ms", "p99 ms"),
            *("CPU ms a cycle: API", "PostgreSQL", "S3", "load"),
        ),
        rows=[
            (
                name,
                spread(runs.rates),
                ms(runs.latencies, 0.5),
                ms(runs.latencies, 0.99),
                *(
                    f"{runs.cpu[process] / len(runs.latencies) * 1000:.1f}"
                    for process in ("api", "postgres", "s3", "load")
                ),
            )
            for name, runs in variants.items()
        ],
        notes=(
            "A cycle: submit, pop, upload, deliver, read the job; every poll names 50 models. Rate limits are off.",
            "Every mutation has an idempotency key, as the reference worker and client send it.",
            "The load's own CPU is spent on the same cores.",
        ),
    )
