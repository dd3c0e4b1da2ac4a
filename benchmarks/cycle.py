"""Whole cycles over HTTP: submit, pop, upload, deliver, read the job.

Variants, run in turn: with a picture of 40 kB uploaded to S3 and checked by the server; with the picture withheld by
the worker (CENSORED), which by the rules needs no object; all jobs shared, and all of them anonymous; and the first two
against two API processes that share a port. Look next: `benchmarks.load`.
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


@dataclass(frozen=True)
class Variant:
    """What is asked of how many API processes."""

    name: str
    picture: bytes | None
    processes: int = 1
    anonymous: bool = False
    sharing: bool = False

    def plan(self, api: Api, seconds: float, run: str) -> load.Cycles:
        """One run of it."""
        return load.Cycles(
            url=api.graphql,
            seed=SEED,
            clients=CLIENTS,
            seconds=seconds,
            picture=self.picture,
            run=f"{self.name} {run}",
            anonymous=self.anonymous,
            sharing=self.sharing,
        )


@dataclass
class Runs:
    """The figures of one variant over all of its runs."""

    #: cycles a second of each run
    rates: list[float] = field(default_factory=list)
    #: seconds of each cycle
    latencies: list[float] = field(default_factory=list)
    #: CPU seconds by process over all runs
    cpu: dict[str, float] = field(default_factory=dict)


def measure(lab: Lab, scale: Scale) -> list[Table]:
    """The cycles' table."""
    settings = lab.database()
    variants = _variants()
    figures = {variant: Runs() for variant in variants}
    with commands.writer_of(settings) as writer:
        commands.populate(writer, settings.pepper, Workload(SEED, 2 * CLIENTS).people)
    with lab.api(settings) as one, lab.api(settings, processes=2) as two:
        apis = {1: one, 2: two}
        for variant in variants:
            children.run(load.cycles, variant.plan(apis[variant.processes], scale.warm_up_seconds, "warm-up"))
        for turn in range(scale.runs):
            for variant in variants:
                api = apis[variant.processes]
                _run(lab, api, figures[variant], variant.plan(api, scale.cycle_seconds, str(turn)))
    return [_table(figures)]


def _variants() -> tuple[Variant, ...]:
    uploaded = picture()
    checked = f"picture of {len(uploaded) / 1000:.0f} kB uploaded and checked"
    return (
        Variant(checked, uploaded),
        Variant("picture withheld (CENSORED), no object", None),
        Variant("uploaded and checked, all shared", uploaded, sharing=True),
        Variant("uploaded and checked, all anonymous", uploaded, anonymous=True),
        Variant(f"{checked}, two API processes", uploaded, processes=2),
        Variant("picture withheld, two API processes", None, processes=2),
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


def _table(figures: dict[Variant, Runs]) -> Table:
    return Table(
        title="Whole cycle over HTTP, 32 clients in a closed loop, one API process where nothing else is said",
        header=(
            *("", "cycles/s", "p50 ms", "p99 ms"),
            *("CPU ms a cycle: API", "PostgreSQL", "S3", "load"),
        ),
        rows=[
            (
                variant.name,
                spread(runs.rates),
                ms(runs.latencies, 0.5),
                ms(runs.latencies, 0.99),
                *(
                    f"{runs.cpu[process] / len(runs.latencies) * 1000:.1f}"
                    for process in ("api", "postgres", "s3", "load")
                ),
            )
            for variant, runs in figures.items()
        ],
        notes=(
            "A cycle: submit, pop, upload, deliver, read the job; every poll names 50 models. Rate limits are off.",
            "Every mutation has an idempotency key, as the reference worker and client send it.",
            "The load's own CPU is spent on the same cores. Actors do not run: nothing is published.",
        ),
    )
