"""Derived indexes of the queue: entries, class heads, denials, demand and the histogram of ranks, kept by SQL from job rows.

They are not folded: each is a function of the waiting rows of `jobs`, changed in the same transaction as those rows
and recomputed whole by `fill`, which the audit compares with. May not decide what is served. Look next:
`projections.queue` (what they mean), `projections.store.search` (who reads them).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any
from uuid import UUID

import msgspec

from events.jobs import JobKind
from events.store.arrays import bools, int8s, texts, uuids
from projections.jobs import Job
from projections.queue import (
    ALL_BUT,
    ANYBODY,
    BUCKET,
    EVERYBODY,
    Demand,
    Entry,
    bucket,
    demand_of,
    entries,
    waits,
)

NAMES = ("queue_entry", "queue_head", "queue_denial", "queue_demand", "queue_histogram")

#: the live autovacuum settings of the small hot tables
_HOT = "WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0)"


_AUDIENCE = 'audience text COLLATE "C" NOT NULL, denied text COLLATE "C" NOT NULL'

_DDL = {
    "queue_entry": f"""(realm bigint NOT NULL, model text NOT NULL, {_AUDIENCE}, mask bigint NOT NULL,
        size bigint NOT NULL, rank bigint NOT NULL, position bigint NOT NULL, job uuid NOT NULL,
        PRIMARY KEY (realm, job, model, audience))""",
    "queue_head": f"""(realm bigint NOT NULL, model text NOT NULL, {_AUDIENCE}, mask bigint NOT NULL,
        size bigint NOT NULL, rank bigint NOT NULL, position bigint NOT NULL,
        PRIMARY KEY (realm, model, audience, size, mask)) {_HOT}""",
    "queue_denial": f"""(realm bigint NOT NULL, worker uuid NOT NULL, model text NOT NULL, size bigint NOT NULL,
        mask bigint NOT NULL, jobs bigint NOT NULL, PRIMARY KEY (realm, worker, model, size, mask)) {_HOT}""",
    "queue_demand": f"""(realm bigint NOT NULL, kind text NOT NULL, models jsonb NOT NULL, mask bigint NOT NULL, size bigint NOT NULL,
        chosen boolean NOT NULL, jobs bigint NOT NULL, generations bigint NOT NULL, work bigint NOT NULL,
        reward bigint NOT NULL, PRIMARY KEY (realm, kind, models, mask, size, chosen)) {_HOT}""",
    "queue_histogram": f"""(realm bigint NOT NULL, kind text NOT NULL, bucket bigint NOT NULL, jobs bigint NOT NULL,
        generations bigint NOT NULL, work bigint NOT NULL, PRIMARY KEY (realm, kind, bucket)) {_HOT}""",
}


def ddl(schema: str) -> list[str]:
    """Statements that make the derived tables."""
    made = [f"CREATE TABLE {schema}.{name} {body}" for name, body in _DDL.items()]
    order = "(realm, model, audience, size, mask, rank DESC, position) INCLUDE (job, denied)"
    best = "(realm, model, audience, rank DESC, position) INCLUDE (size, mask, denied)"
    return [
        *made,
        f"CREATE INDEX ON {schema}.queue_entry {order}",
        f"CREATE INDEX ON {schema}.queue_head {best}",
    ]


_WAITS = "waiting > 0 AND state IN ('WAITING', 'PROCESSING') AND NOT fetching"


#: bodies of INSERT INTO for each derived table, from job rows; binds: realm
_FILL = {
    "queue_entry": f"""SELECT realm, m.model, a.audience, a.denied, mask, size, rank, position, id
        FROM {{schema}}.jobs, jsonb_array_elements_text(CASE models WHEN '[]' THEN '[""]' ELSE models END) AS m(model),
          LATERAL (SELECT '{EVERYBODY}' AS audience, '' AS denied WHERE allowed_workers = '[]' AND denied_workers = '[]'
            UNION ALL SELECT '+' || w, '' FROM jsonb_array_elements_text(allowed_workers) AS w
              WHERE NOT denied_workers ? w
            UNION ALL SELECT '{ALL_BUT}', string_agg(w, ',' ORDER BY w COLLATE "C")
              FROM jsonb_array_elements_text(denied_workers) AS w WHERE allowed_workers = '[]' HAVING count(*) > 0) AS a
        WHERE realm = %s AND {_WAITS}""",  # noqa: S608
    "queue_head": """SELECT DISTINCT ON (model, audience, mask, size)
          realm, model, audience, denied, mask, size, rank, position
        FROM {schema}.queue_entry WHERE realm = %s ORDER BY model, audience, mask, size, rank DESC, position""",
    "queue_denial": f"""SELECT realm, w::uuid, model, size, mask, count(*)
        FROM {{schema}}.queue_entry, unnest(string_to_array('{ANYBODY},' || denied, ',')) AS w
        WHERE realm = %s AND audience = '{ALL_BUT}' GROUP BY 1, 2, 3, 4, 5""",  # noqa: S608
    "queue_demand": f"""SELECT realm, kind, models, mask, size, allowed_workers <> '[]' OR denied_workers <> '[]',
          count(*), sum(waiting), sum(waiting * work), sum(waiting * price)
        FROM {{schema}}.jobs WHERE realm = %s AND {_WAITS} GROUP BY 1, 2, 3, 4, 5, 6""",  # noqa: S608
    "queue_histogram": f"""SELECT realm, kind,
          div(rank::numeric - mod(mod(rank, {BUCKET}) + {BUCKET}, {BUCKET}), {BUCKET})::bigint,
          count(*), sum(waiting), sum(waiting * work)
        FROM {{schema}}.jobs WHERE realm = %s AND {_WAITS} GROUP BY 1, 2, 3""",  # noqa: S608
}


def fill(schema: str, into: str | None = None) -> list[str]:
    """Statements that compute the derived tables of a schema from its job rows; binds: realm.

    They go into the schema's own tables, or into tables named with the prefix `into`.
    """
    return [f"INSERT INTO {into or schema + '.'}{name} {_FILL[name].format(schema=schema)}" for name in NAMES]


class Change(msgspec.Struct):
    """What a batch changes in the derived tables, gathered from job rows before and after it."""

    added: list[Entry]
    removed: list[Entry]
    demand: dict[Demand, Counter[str]]
    histogram: dict[tuple[JobKind, int], Counter[str]]


def change_of(pairs: Iterable[tuple[Job | None, Job | None]]) -> Change:
    """The change between job rows before and after a batch."""
    change = Change([], [], {}, {})
    for before, after in pairs:
        was, is_ = waits(before), waits(after)
        if was and before is not None:
            _count(change, before, -1)
        if is_ and after is not None:
            _count(change, after, 1)
        if was and not is_ and before is not None:
            change.removed.extend(entries(before))
        if is_ and not was and after is not None:
            change.added.extend(entries(after))
        if was and is_ and before is not None and after is not None and before.models != after.models:
            change.removed.extend(entries(before))
            change.added.extend(entries(after))
    return change


def _count(change: Change, job: Job, sign: int) -> None:
    amounts = {
        "jobs": sign,
        "generations": sign * job.waiting,
        "work": sign * job.waiting * job.work,
    }
    change.histogram.setdefault((job.kind, bucket(job.rank)), Counter()).update(amounts)
    reward = sign * job.waiting * job.price
    change.demand.setdefault(demand_of(job), Counter()).update({**amounts, "reward": reward})


#: a job leaves all of its places at once
_REMOVE = "DELETE FROM projections.queue_entry WHERE realm = %b AND job = ANY(%b::uuid[])"
_ADD = (
    "INSERT INTO projections.queue_entry (realm, model, audience, denied, mask, size, rank, position, job) "
    "SELECT %b::bigint, t.* FROM unnest(%b::text[], %b::text[], %b::text[], %b::bigint[], %b::bigint[], "
    "%b::bigint[], %b::bigint[], %b::uuid[]) AS t"
)
_HEADS = """
WITH touched AS (
  SELECT DISTINCT * FROM unnest(%b::text[], %b::text[], %b::bigint[], %b::bigint[]) AS t(model, audience, mask, size)),
best AS (
  SELECT t.*, e.denied, e.rank, e.position FROM touched t LEFT JOIN LATERAL (
    SELECT denied, rank, position FROM projections.queue_entry q
    WHERE q.realm = %b AND q.model = t.model AND q.audience = t.audience AND q.mask = t.mask AND q.size = t.size
    ORDER BY rank DESC, position LIMIT 1) e ON true),
gone AS (
  DELETE FROM projections.queue_head h USING best b WHERE h.realm = %b AND b.rank IS NULL
    AND h.model = b.model AND h.audience = b.audience AND h.mask = b.mask AND h.size = b.size)
INSERT INTO projections.queue_head (realm, model, audience, denied, mask, size, rank, position)
SELECT %b::bigint, model, audience, denied, mask, size, rank, position FROM best WHERE rank IS NOT NULL
ON CONFLICT (realm, model, audience, size, mask)
DO UPDATE SET denied = excluded.denied, rank = excluded.rank, position = excluded.position
WHERE (queue_head.rank, queue_head.position) IS DISTINCT FROM (excluded.rank, excluded.position)
"""
_DENIAL = (
    "INSERT INTO projections.queue_denial AS d (realm, worker, model, size, mask, jobs) SELECT %b::bigint, t.* "
    "FROM unnest(%b::uuid[], %b::text[], %b::bigint[], %b::bigint[], %b::bigint[]) AS t "
    "ON CONFLICT (realm, worker, model, size, mask) DO UPDATE SET jobs = d.jobs + excluded.jobs"
)
_DENIAL_EMPTY = (
    "DELETE FROM projections.queue_denial WHERE realm = %b AND jobs = 0 AND worker = ANY(%b::uuid[])"
)
_DEMAND = (
    "INSERT INTO projections.queue_demand AS d (realm, kind, models, mask, size, chosen, jobs, generations, work, "
    "reward) SELECT %b::bigint, t.kind, t.models::jsonb, t.mask, t.size, t.chosen, t.jobs, t.generations, "
    "t.work, t.reward FROM unnest(%b::text[], %b::text[], %b::bigint[], %b::bigint[], %b::boolean[], %b::bigint[], "
    "%b::bigint[], %b::bigint[], %b::bigint[]) "
    "AS t(kind, models, mask, size, chosen, jobs, generations, work, reward) "
    "ON CONFLICT (realm, kind, models, mask, size, chosen) DO UPDATE SET jobs = d.jobs + excluded.jobs, "
    "generations = d.generations + excluded.generations, work = d.work + excluded.work, "
    "reward = d.reward + excluded.reward"
)
_DEMAND_EMPTY = (
    "DELETE FROM projections.queue_demand WHERE realm = %b AND jobs = 0 AND models = ANY(%b::text[]::jsonb[])"
)
_HISTOGRAM = (
    "INSERT INTO projections.queue_histogram AS h (realm, kind, bucket, jobs, generations, work) "
    "SELECT %b::bigint, t.* FROM unnest(%b::text[], %b::bigint[], %b::bigint[], %b::bigint[], %b::bigint[]) AS t "
    "ON CONFLICT (realm, kind, bucket) DO UPDATE SET jobs = h.jobs + excluded.jobs, "
    "generations = h.generations + excluded.generations, work = h.work + excluded.work"
)
_HISTOGRAM_EMPTY = (
    "DELETE FROM projections.queue_histogram WHERE realm = %b AND jobs = 0 AND bucket = ANY(%b::bigint[])"
)

Statement = tuple[str, list[Any]]


def statements(realm: int, change: Change) -> list[Statement]:
    """What to run after the changed job rows are written, in this order."""
    made: list[Statement] = []
    if change.removed:
        made.append((_REMOVE, [realm, uuids(list({e.job for e in change.removed}))]))
    if change.added:
        added = change.added
        made.append(
            (
                _ADD,
                [
                    realm,
                    texts([e.model for e in added]),
                    texts([e.audience for e in added]),
                    texts([e.denied for e in added]),
                    int8s([e.mask for e in added]),
                    int8s([e.size for e in added]),
                    int8s([e.rank for e in added]),
                    int8s([e.position for e in added]),
                    uuids([e.job for e in added]),
                ],
            )
        )
    if touched := {(e.model, e.audience, e.mask, e.size) for e in (*change.added, *change.removed)}:
        models, whom, masks, sizes = zip(*touched, strict=True)
        classes = [texts(models), texts(whom), int8s(masks), int8s(sizes)]
        made.append((_HEADS, [*classes, realm, realm, realm]))
    made.extend(_denials(realm, change))
    made.extend(_sums(realm, change))
    return made


def _denials(realm: int, change: Change) -> list[Statement]:
    counts: Counter[tuple[UUID, str, int, int]] = Counter()
    for sign, moved in ((1, change.added), (-1, change.removed)):
        for entry in moved:
            if entry.audience == ALL_BUT:
                for worker in (ANYBODY, *map(UUID, entry.denied.split(","))):
                    counts[worker, entry.model, entry.size, entry.mask] += sign
    changed = [(key, count) for key, count in counts.items() if count]
    if not changed:
        return []
    workers, models, sizes, masks = zip(*(key for key, _ in changed), strict=True)
    jobs = [count for _, count in changed]
    made = [(_DENIAL, [realm, uuids(workers), texts(models), int8s(sizes), int8s(masks), int8s(jobs)])]
    if min(jobs) < 0:
        made.append((_DENIAL_EMPTY, [realm, uuids(workers)]))
    return made


def _sums(realm: int, change: Change) -> list[Statement]:
    made: list[Statement] = []
    if moved := [(d, c) for d, c in change.demand.items() if any(c.values())]:
        named = [
            texts([d.kind for d, _ in moved]),
            texts([msgspec.json.encode(d.models).decode() for d, _ in moved]),
            int8s([d.mask for d, _ in moved]),
            int8s([d.size for d, _ in moved]),
            bools([d.chosen for d, _ in moved]),
        ]
        rewards = int8s([c["reward"] for _, c in moved])
        made.append((_DEMAND, [realm, *named, *_amounts([c for _, c in moved]), rewards]))
        if any(c["jobs"] < 0 for _, c in moved):
            made.append((_DEMAND_EMPTY, [realm, named[1]]))
    if ranked := [(b, c) for b, c in change.histogram.items() if any(c.values())]:
        kinds = texts([kind for (kind, _), _ in ranked])
        buckets = int8s([number for (_, number), _ in ranked])
        made.append((_HISTOGRAM, [realm, kinds, buckets, *_amounts([c for _, c in ranked])]))
        if any(c["jobs"] < 0 for _, c in ranked):
            made.append((_HISTOGRAM_EMPTY, [realm, buckets]))
    return made


def _amounts(counters: list[Counter[str]]) -> list[bytes]:
    return [int8s([c[name] for c in counters]) for name in ("jobs", "generations", "work")]
