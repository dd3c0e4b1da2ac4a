"""What must hold: cheap checks after every commit (`Watch`), everything else when the cluster has come to rest.

Nothing here trusts what the programs computed: leases, charges and answers are followed from the log alone, and the
whole log is decided once more, one command after the other.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import UUID

import msgspec

from app.accounts.decider import GrantKudos, TransferKudos
from app.jobs.decider import CancelJob, SubmitImageJob
from app.jobs.interrogation_decider import SubmitInterrogationJob
from app.jobs.text_decider import SubmitTextJob
from app.platform.commands import Done, Rejection, Request
from app.platform.objects import shared_keys
from app.platform.vault import JobSource
from app.sharing.actors import PUBLISH_PICTURE, WITHDRAW_PICTURES
from app.sources.actors import FETCH_SOURCES
from app.workers.lease_decider import SubmitResults
from events.base import Fact, Metadata, Recorded
from events.jobs import (
    GenerationCensored,
    GenerationDelivered,
    GenerationFailed,
    GenerationsLeased,
    ImageJobSubmitted,
    InterrogationJobSubmitted,
    JobCancelled,
    JobExpired,
    LeaseExpired,
    LeaseExtended,
    LeaseReleased,
    SourcesFetched,
    SourcesRefused,
)
from events.moderation import CaseOpened
from events.ratings import ImageRated
from events.sharing import PicturePublished, PicturesWithdrawn, PictureWithheld, ShareConsentWithdrawn
from projections import memory
from projections.registry import TAILING
from tests.model import MemoryLog
from tests.property.test_histories import bare, check_log, check_money, check_work
from tests.simulation.cluster import BUCKETS, SOURCES, Cluster
from tests.simulation.foundation import foundation
from tests.simulation.people import Known, Operation
from tests.simulation.scheduler import Failure

_metadata = msgspec.json.Decoder(Metadata)
FOLLOWERS = ("reactions", *(f"projection:{projection.name}" for projection in TAILING))
#: commands whose acceptance always appends something
ALWAYS_APPENDS = (SubmitImageJob, SubmitTextJob, SubmitInterrogationJob, TransferKudos, GrantKudos)


def must(holds: object, message: str) -> None:
    """Raise `Failure` unless something holds."""
    if not holds:
        raise Failure(message)


def command_of(event: Recorded) -> UUID:
    """The internal id of the command that an event came from."""
    return _metadata.decode(event.metadata).command


class Watch:
    """After every commit: positions, instants, and who may do what to a generation, from the events alone."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log
        self._seen = 0
        self._claimed: dict[UUID, UUID] = {}
        self._settled: set[UUID] = set()
        self._until: dict[UUID, datetime] = {}
        self._commands: set[UUID] = set()
        self._rated: set[UUID] = set()

    def look(self) -> None:
        """Check what was appended since the last look."""
        new = self._log.events[self._seen :]
        for event in new:
            last = self._log.events[event.position - 2] if event.position > 1 else None
            must(event.position == self._seen + 1, f"position {event.position} after {self._seen}")
            must(last is None or last.occurred_at <= event.occurred_at, f"time ran back at {event.position}")
            command = command_of(event)
            must(
                command not in self._commands or (last is not None and command_of(last) == command),
                f"command {command} is in the log twice, again at {event.position}",
            )
            self._commands.add(command)
            self._follow(self._log.facts[event.position - 1])
            self._seen += 1

    def _follow(self, fact: Fact) -> None:
        match event := fact.event:
            case GenerationsLeased():
                for generation in event.generations:
                    other = self._claimed.get(generation)
                    must(other is None, f"{generation} is leased by {event.lease} while {other} lives")
                    must(generation not in self._settled, f"{generation} is leased after it was settled")
                    self._claimed[generation] = event.lease
                self._until[event.lease] = event.expires_at
            case LeaseExtended():
                self._until[event.lease] = event.expires_at
            case GenerationDelivered() | GenerationCensored():
                must(event.generation not in self._settled, f"{event.generation} is charged twice")
                self._settled.add(event.generation)
                self._claimed.pop(event.generation, None)
            case GenerationFailed():
                must(self._claimed.pop(event.generation, None) == event.lease, "a failure of another's lease")
            case LeaseReleased() | JobCancelled() | JobExpired() | SourcesRefused():
                for generation in event.generations:
                    self._claimed.pop(generation, None)
            case ImageRated():
                must(event.rating not in self._rated, f"{event.rating} is given twice")
                self._rated.add(event.rating)
            case LeaseExpired():
                must(event.lease not in self._claimed.values(), f"{event.lease} ended and still claims")
                must(self._until[event.lease] <= fact.occurred_at, f"{event.lease} ended before its time")
            case _:
                pass


def quiet(cluster: Cluster) -> bool:
    """Whether nothing is left to be done."""
    log, tables = cluster.log, cluster.server.tables
    leases: Any = log.state["leases"]
    followed = [tables["checkpoint"].get(name, 0) for name in FOLLOWERS]
    return (
        all(job.final for job in log.jobs().values())
        and all(lease.state.value != "LIVE" for lease in leases.values())
        and min(followed) >= len(log.events)
        and all(row.completed_by is not None for row in tables["reaction"].values())
    )


def unrest(cluster: Cluster) -> str:
    """What is left to be done."""
    log, tables = cluster.log, cluster.server.tables
    leases: Any = log.state["leases"]
    return (
        f"jobs {[str(j.id) for j in log.jobs().values() if not j.final]}, "
        f"leases {[str(x.id) for x in leases.values() if x.state.value == 'LIVE']}, "
        f"checkpoints {tables['checkpoint']} of {len(log.events)}, "
        f"reactions {[key for key, row in tables['reaction'].items() if row.completed_by is None]}"
    )


def at_rest(cluster: Cluster, operations: list[Operation]) -> None:
    """Everything, once the cluster has come to rest."""
    log = cluster.log
    check_log(log)
    check_money(log)
    check_work(log)
    for account in log.accounts().values():
        must(account.held == 0, f"{account.id} still holds {account.held}")
    by_command: dict[UUID, list[Recorded]] = defaultdict(list)
    for event in log.events:
        by_command[command_of(event)].append(event)
    outcomes = check_serial(cluster)
    for operation in operations:
        check_answers(operation, by_command, outcomes)
        check_told(operation, log)
    check_reactions(cluster)
    check_tailing(cluster)


def check_serial(cluster: Cluster) -> dict[UUID, Done]:
    """The log is what its commands come to when they are decided one after the other."""
    other, _ = foundation()
    outcomes: dict[UUID, Done] = {}
    for command, events in groupby(cluster.log.events[len(other.events) :], command_of):
        request = cluster.server.requests[command]
        other.now = next(events).occurred_at
        (outcome,) = other.commit([Request(request.command, request.id)])
        must(isinstance(outcome, Done), f"{request.command!r} is in the log, but comes to {outcome!r}")
        outcomes[command] = outcome
    for mine, theirs in zip(bare(other), bare(cluster.log), strict=True):
        must(mine == theirs, f"decided alone: {mine}, in the log: {theirs}")
    must(other.postings == cluster.log.postings, "postings differ from those of a serial history")
    return outcomes


def check_answers(
    operation: Operation, by_command: dict[UUID, list[Recorded]], outcomes: dict[UUID, Done]
) -> None:
    """What was answered is in the log, once; what was refused is not."""
    name = type(operation.command).__name__
    logged = [attempt for attempt in operation.attempts if attempt.id in by_command]
    if operation.promise is not None:
        must(len(logged) <= 1, f"{name} with one key is in the log as {[str(a.id) for a in logged]}")
    for attempt in operation.attempts:
        must(
            attempt.known is not Known.REFUSED or attempt.id not in by_command,
            f"{name} {attempt.id} was refused and is in the log",
        )
    outcome = operation.outcome
    if isinstance(outcome, Rejection):
        must(outcome.code != "IDEMPOTENCY_CONFLICT", f"{name}: its own key is another's")
    if not isinstance(outcome, Done):
        return
    told = [a for a in logged if a.id == operation.answered] or (logged if outcome.repeated else [])
    if not told:
        appends = isinstance(operation.command, ALWAYS_APPENDS)
        appends = appends or getattr(outcome.result, "lease", None) is not None
        must(not appends and not outcome.repeated, f"{name} was acknowledged and is not in the log")
        return
    events = by_command[told[0].id]
    must(outcome.position == events[-1].position, f"{name} was told position {outcome.position}")
    must(outcome.result == outcomes[told[0].id].result, f"{name} was told another result: {outcome.result}")


def check_told(operation: Operation, log: MemoryLog) -> None:
    """What a worker or client was told of generations and jobs is so."""
    outcome, command = operation.outcome, operation.command
    if not isinstance(outcome, Done):
        return
    if isinstance(command, CancelJob):
        must(log.jobs()[command.job].final, f"{command.job} was closed and never ended")
    if isinstance(command, SubmitResults):
        rows: Any = log.state["generations"]
        for told in outcome.result.outcomes:
            row = rows[told.generation]
            first = row.lease == command.lease and row.reward == told.reward
            redundant = (command.lease, told.reward) in row.redundant
            must(told.reward == 0 or first or redundant, f"{told} was never paid to {command.lease}")


def check_reactions(cluster: Cluster) -> None:
    """Each delivery of a shared job was handled at least once, has one verdict, and the bucket shows it.

    So was each end of sharing: what had been published of the job then is out of the bucket again.
    """
    log, storage = cluster.log, cluster.storage
    verdicts: dict[UUID, list[Any]] = defaultdict(list)
    wanted: dict[UUID, int] = {}
    ends: dict[int, UUID] = {}
    gone: set[str] = set()
    for fact in log.facts:
        match event := fact.event:
            case PicturePublished() | PictureWithheld():
                verdicts[event.generation].append(event)
            case GenerationDelivered() if log.jobs()[event.job].shared:
                wanted[event.generation] = fact.position
            case ShareConsentWithdrawn() | CaseOpened() if log.jobs()[event.job].shared:
                ends[fact.position] = event.job
            case PicturesWithdrawn():
                gone.update(key for generation in event.generations for key in shared_keys(generation))
    must(set(verdicts) <= set(wanted), "a verdict on a picture that is not shared")
    files = {key for bucket, key in storage.objects if bucket == BUCKETS.shared}
    expected: set[str] = set()
    for generation, position in wanted.items():
        must(len(verdicts[generation]) == 1, f"{generation} has verdicts {verdicts[generation]}")
        must(cluster.broker.called[PUBLISH_PICTURE, position] >= 1, f"nobody was called for {position}")
        if isinstance(verdicts[generation][0], PicturePublished):
            expected |= set(shared_keys(generation))
    expected -= gone
    must(
        files == expected, f"in the bucket, not in the log or the other way round: {sorted(files ^ expected)}"
    )
    for job in set(ends.values()):
        must(not log.jobs()[job].withdrawing, f"nothing was taken back of {job}")
        shown = [g.id for g in log.generations_of(job) if g.sha256 and (log.jobs()[job].unshared or g.report)]
        must(not shown, f"{shown} are shared, which they are not any more")
    calls = {(position, PUBLISH_PICTURE) for position in wanted.values()}
    calls |= {(position, WITHDRAW_PICTURES) for position in ends}
    calls |= check_sources(cluster)
    must(set(cluster.server.tables["reaction"]) == calls, "reactions are not those of the log")


def check_sources(cluster: Cluster) -> set[tuple[int, str]]:
    """What was to be fetched was asked for; what a job was queued with lies there, at no address. The calls."""
    calls: set[tuple[int, str]] = set()
    for fact in cluster.log.facts:
        match event := fact.event:
            case ImageJobSubmitted() | InterrogationJobSubmitted() if event.fetching:
                calls.add((fact.position, FETCH_SOURCES))
                shared = isinstance(event, ImageJobSubmitted) and event.shared
                must(not shared, f"{event.job} is from a source and is shared")
            case SourcesFetched():
                kept: Any = cluster.server.words[JobSource, event.job]
                must(not kept.url, f"the address of {event.job}'s source is kept")
                must((SOURCES, kept.key) in cluster.storage.objects, f"{event.job}'s source is gone")
            case GenerationsLeased():
                must(not cluster.log.jobs()[event.job].fetching, f"{event.job} is leased without its source")
            case _:
                pass
    return calls


def check_tailing(cluster: Cluster) -> None:
    """Tailing projections are the fold of the log."""
    state = memory.replay(cluster.log.facts, TAILING)
    for projection in TAILING:
        live = cluster.server.tables[projection.name]
        must(live == state[projection.name], f"{projection.name} is {live}, the log says {state}")
