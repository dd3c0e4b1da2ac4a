"""The first round trip of a batch: take the lock, then read clock, head, known keys, live versions and rows.

The lock and each read are statements of their own, so that every read sees what was committed before the lock was
had. Rows that this process has at the head of the log are not read again. What a search finds and nobody has is read
in a second round trip, still under the lock: callers name the jobs that a search is likely to find. May not decide.
Look next: `app.platform.writer.batch`, `app.platform.writer.recent`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec
from psycopg import Connection

from app.platform import vault
from app.platform.commands import Idempotency, Needs
from app.platform.round_trip import Row, Statement, travel
from app.platform.rows import Rows
from app.platform.writer.recent import GAP, Recent
from events.operations import HOUSE
from events.store import log
from events.store.arrays import texts, uuids
from projections.queue import Found, Search
from projections.registry import VERSIONS
from projections.store import search
from projections.store.tables import LIVE, TABLES

VERSIONS_SQL = "SELECT name, version FROM relay.projection WHERE realm = %s"


class VersionMismatchError(Exception):
    """The live projections are not those this program knows: it must stop itself."""


class Gathered(msgspec.Struct):
    """All that a batch knows when it starts to decide."""

    head: log.Head
    rows: Rows
    #: outcomes of earlier commands by (scope, key)
    known: dict[tuple[str, str], vault.CommandOutcome]
    #: how long the lock was waited for, in seconds of the database's clock
    waited: float = 0.0


_LEASED = f"SELECT job FROM {LIVE}.leases WHERE realm = %(realm)s AND id = ANY(%(leases)s::uuid[])"  # noqa: S608
_JOBS = f"SELECT unnest(%(jobs)s::uuid[]) UNION {_LEASED}"
_PAYERS = f"SELECT requester FROM {LIVE}.jobs WHERE realm = %(realm)s AND id = ANY(ARRAY({_JOBS}))"  # noqa: S608
_OWNERS = f"SELECT owner FROM {LIVE}.leases WHERE realm = %(realm)s AND id = ANY(%(leases)s::uuid[])"  # noqa: S608
_HOSTS = f"SELECT worker FROM {LIVE}.leases WHERE realm = %(realm)s AND id = ANY(%(leases)s::uuid[])"  # noqa: S608
#: tables whose rows no other row brings
_BY_ID = ("teams", "modes", "webhooks", "image_sets", "pictures", "ratings", "raters", "takedowns")
#: what a command names of these, and of those that only it and a lease or job bring; modes are named for every batch
_NAMED = ("accounts", "workers", *(name for name in _BY_ID if name != "modes"))
#: the row reads by table
_READS = {
    name: TABLES[name].select(LIVE, condition)
    for name, condition in {
        "leases": "id = ANY(%(leases)s::uuid[])",
        "jobs": f"id = ANY(ARRAY({_JOBS}))",
        "generations": f"job = ANY(ARRAY({_JOBS}))",
        "accounts": f"id = ANY(ARRAY(SELECT unnest(%(accounts)s::uuid[]) UNION {_PAYERS} UNION {_OWNERS}))",
        "workers": f"id = ANY(ARRAY(SELECT unnest(%(workers)s::uuid[]) UNION {_HOSTS}))",
        **{name: f"id = ANY(%({name})s::uuid[])" for name in _BY_ID},
    }.items()
}
#: prompts of the jobs that a batch may queue again, for searches with a blacklist: these were found before it began
_PROMPTS = f"SELECT job, prompt FROM vault.job WHERE realm = %(realm)s AND job IN ({_JOBS})"  # noqa: S608


_Ids = dict[str, set[UUID]]


class _Wanted:
    """The rows that a batch needs, as far as they are at hand, and the ids of those that are not."""

    def __init__(self, needs: Iterable[Needs], found: Iterable[UUID], recent: Recent) -> None:
        self._recent = recent
        self.rows: dict[str, dict[UUID, Any]] = {name: {} for name in _READS}
        self.missing: _Ids = {name: set() for name in _READS}
        for need in needs:
            for key in need.leases:
                self._lease(key)
            for key in need.jobs:
                self._job(key)
            for name in _NAMED:
                for key in getattr(need, name):
                    self._one(name, key)
            for job in need.galleries:
                self._gallery(job)
        for key in found:
            self._job(key)
        self._one("modes", HOUSE)  # any decision may ask; but for its first batch a process has it at hand

    def _one(self, projection: str, key: UUID) -> Any:
        row = self._recent.get(projection, key)
        if row is None:
            self.missing[projection].add(key)
        else:
            self.rows[projection][key] = row
        return row

    def _gallery(self, job: UUID) -> None:
        """The shared pictures of a job: they have its generations' ids."""
        if self._recent.get("jobs", job) is not None:
            for generation in self._recent.generations_of(job):
                self._one("pictures", generation.id)

    def _lease(self, key: UUID) -> None:
        lease = self._one("leases", key)
        if lease is not None:
            self._job(lease.job)
            self._one("accounts", lease.owner)
            self._one("workers", lease.worker)

    def _job(self, key: UUID) -> None:
        job = self._one("jobs", key)
        if job is not None:
            self.rows["generations"].update((g.id, g) for g in self._recent.generations_of(key))
            self._one("accounts", job.requester)


def gather(
    connection: Connection[Any],
    realm: int,
    needs: Sequence[Needs],
    keys: Sequence[Idempotency],
    recent: Recent,
) -> Gathered:
    """Open the transaction, take the lock and read. Raises `VersionMismatchError`, `psycopg.Error`."""
    questions = search.Questions(realm, [need.search for need in needs if need.search is not None])
    wanted = _Wanted(needs, (), recent)
    asked = {
        "begin": Statement("BEGIN"),
        "lock": Statement(log.LOCK, (realm,)),
        "end": Statement(log.SINCE, (realm, recent.position, GAP)),
        "versions": Statement(VERSIONS_SQL, (realm,)),
    }
    if keys:
        keyed = (texts([k.scope for k in keys]), texts([k.key for k in keys]), realm)
        asked["known"] = Statement(vault.FIND_OUTCOMES, keyed)
    if questions:
        asked["found"] = Statement(search.FIND, questions.parameters())
    if questions.blacklisted:
        asked["prompts"] = Statement(_PROMPTS, _prompted(realm, wanted))
    got = _travel(connection, asked | _reads(realm, wanted.missing))
    check_versions(got["versions"])
    head = _catch_up(connection, realm, recent, got["end"])
    _put(recent, head, got)
    answers = questions.answers(got["found"][0][0]) if questions else {}
    wanted = _complete(connection, realm, recent, head, needs, search.jobs_of(answers), wanted.missing)
    rows = _working_set(head, needs, wanted, answers)
    rows.prompts.update(got.get("prompts", ()))
    outcomes = [vault.CommandOutcome(*row) for row in got.get("known", ())]
    clock, began = got["end"][0][:2]
    waited = max(0.0, (clock - began).total_seconds())
    return Gathered(head, rows, {(o.scope, o.key): o for o in outcomes}, waited)


def _travel(connection: Connection[Any], asked: Mapping[str, Statement]) -> dict[str, list[Row]]:
    return dict(zip(asked, connection.wait(travel(connection, list(asked.values()))), strict=True))


def _prompted(realm: int, wanted: _Wanted) -> dict[str, Any]:
    """What `_PROMPTS` takes: the jobs that the batch may queue again, at hand or not."""
    jobs = wanted.rows["jobs"].keys() | wanted.missing["jobs"]
    return {"realm": realm, "jobs": uuids(list(jobs)), "leases": uuids(list(wanted.missing["leases"]))}


def _reads(realm: int, missing: _Ids) -> dict[str, Statement]:
    """The reads of what is missing: a statement costs, also one that finds nothing."""
    leases = missing["leases"]
    jobs = missing["jobs"] | leases
    tables = {
        "leases": leases,
        "jobs": jobs,
        "generations": jobs,
        "accounts": missing["accounts"] | jobs,
        "workers": missing["workers"] | leases,
        **{name: missing[name] for name in _BY_ID},
    }
    parameters = {"realm": realm, **{name: uuids(list(keys)) for name, keys in missing.items()}}
    return {name: Statement(_READS[name], parameters) for name, wants in tables.items() if wants}


def _put(recent: Recent, head: log.Head, got: Mapping[str, list[Row]]) -> None:
    """Put what was read under the lock to the rows at hand."""
    rows = {name: TABLES[name].load_all(got[name]) for name in _READS if name in got}
    recent.put(rows, head.position, head.hash)


def _catch_up(
    connection: Connection[Any], realm: int, recent: Recent, rows: Sequence[Sequence[Any]]
) -> log.Head:
    """Move the rows at hand on to the end of the log, or drop them if that is too far."""
    if len(rows) < GAP and rows[0][2] is not None:
        events = [log.recorded(row[2:]) for row in rows]
        recent.catch_up(events)
        return log.Head(max(rows[0][0], events[-1].occurred_at), events[-1].position, events[-1].hash)
    recent.clear()
    return log.head_of(realm, connection.execute(log.HEAD, (realm,), binary=True).fetchone() or ())


def _complete(
    connection: Connection[Any],
    realm: int,
    recent: Recent,
    head: log.Head,
    needs: Sequence[Needs],
    found: set[UUID],
    asked: _Ids,
) -> _Wanted:
    """All rows that are needed and exist; what nobody could name in the first round trip is read in another."""
    while True:
        wanted = _Wanted(needs, found, recent)
        missing = {name: keys - asked[name] for name, keys in wanted.missing.items()}
        if not any(missing.values()):
            return wanted
        _put(recent, head, _travel(connection, _reads(realm, missing)))
        asked = {name: keys | missing[name] for name, keys in asked.items()}


def _working_set(
    head: log.Head, needs: Sequence[Needs], wanted: _Wanted, answers: Mapping[Search, Found]
) -> Rows:
    rows = Rows(head.now)
    rows.name("modes", (HOUSE,))
    for name in ("jobs", "leases", *_NAMED):
        for need in needs:
            rows.name(name, getattr(need, name))
    galleries = {job for need in needs for job in need.galleries}
    if galleries:
        rows.name("pictures", [g.id for g in wanted.rows["generations"].values() if g.job in galleries])
    for name, at_hand in wanted.rows.items():
        rows.put(name, at_hand.values())
    for need in needs:
        rows.made.update(need.made)
    for asked, result in answers.items():
        rows.put_found(asked, result)
    return rows


def check_versions(live: Sequence[tuple[str, int]]) -> None:
    """Raises `VersionMismatchError` where what is live, by name, is not what this program knows."""
    if dict(live) != VERSIONS:
        message = f"live projections are {dict(live)}, this program knows {VERSIONS}"
        raise VersionMismatchError(message)
