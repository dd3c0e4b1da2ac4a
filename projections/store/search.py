"""Searching the queue for the best jobs that workers may serve: one statement for all searches of a batch.

Looks at class heads first, so its cost does not grow with the queue; searches that ask for the same look at the same
places, so it hardly grows with the number of pops either. The only place where the vault is looked at while
searching: a worker's blacklist is compared with at most as many prompts as there are candidates. May not decide; what
it finds is confirmed by the decider under the lock. Look next: `projections.queue`, `app.workers.matching`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec

from events.jobs import JobKind
from projections.queue import (
    ALL_BUT,
    ANY_MODEL,
    ANYBODY,
    CANDIDATES,
    EVERYBODY,
    FRIENDS,
    OTHERS,
    OWN,
    OWN_CANDIDATES,
    OWN_CANDIDATES_BLACKLISTED,
    WAIVED,
    Candidate,
    Found,
    Search,
    order,
)

_BLACKLISTED = """body->'blacklist' <> '[]' AND EXISTS (
  SELECT 1 FROM vault.job v, jsonb_array_elements_text(body->'blacklist') AS word
  WHERE v.realm = %(realm)s AND v.job = {job} AND position(word IN lower(v.prompt)) > 0)"""

#: what of a class a worker must meet, beside its audience
_FITS = "({row}.size >> 32 <= w.max_size >> 32 AND {row}.size & 4294967295 <= w.max_size & 4294967295)"
_SERVED = f"h.mask & ~w.allowed = 0 AND {_FITS.format(row='h')}"
_BEHIND = """(w.after_rank IS NULL OR q.rank < w.after_rank
          OR (q.rank = w.after_rank AND q.position > w.after_position))"""
#: the waiting jobs of one requester that the asker may serve, best first
_OF_ONE = f"""
      SELECT j.id, j.rank, j.position FROM projections.jobs j
      WHERE j.realm = %(realm)s AND j.requester = {{requester}} AND j.waiting > 0
        AND j.state IN ('WAITING', 'PROCESSING') AND NOT j.fetching AND j.kind = body->>'kind' AND {_FITS.format(row="j")}
        AND j.mask & ~(w.allowed | {WAIVED}) = 0 AND (j.models = '[]' OR j.models ?| w.models)
        AND (j.allowed_workers = '[]' OR j.allowed_workers ? (asker->>0)) AND NOT j.denied_workers ? (asker->>0)
        AND (j.soft_prompt IS NULL OR body->'soft_prompts' ? j.soft_prompt)
        AND (SELECT true FROM projections.generations g WHERE g.realm = %(realm)s AND g.job = j.id
          AND g.state = 'WAITING' AND NOT g.barred ? (asker->>0) LIMIT 1)
      ORDER BY j.rank DESC, j.position LIMIT (asker->>2)::bigint"""  # noqa: S608

#: the best heads of one audience: each model's by themselves, in the order of an index, and only of models that have any
#: class of a size that the worker draws
_HEADS_OF = f"""
      SELECT h.model, h.audience, h.mask, h.size, h.rank, h.position FROM unnest(w.classes) AS m(model)
      CROSS JOIN LATERAL (
        SELECT h.model, h.audience, h.mask, h.size, h.rank, h.position FROM projections.queue_head h
        WHERE h.realm = %(realm)s AND h.model = m.model AND h.audience = {{audience}} AND {_SERVED} {{further}}
        ORDER BY h.rank DESC, h.position LIMIT CASE WHEN w.after_rank IS NULL THEN w.wanted END) AS h
      WHERE w.wanted > 0 AND (SELECT min(h.size) FROM projections.queue_head h WHERE h.realm = %(realm)s
        AND h.model = m.model AND h.audience = {{audience}}) <= w.max_size"""  # noqa: S608

#: One JSON array [places for everybody, candidates of each asker alone] a question, in their order. Only entries that
#: rank at least as the last of the best heads can be among the best places: each of those heads is a place itself.
#: Of the classes of jobs that deny somebody those in which some, and not all, deny the asker are looked at besides.
FIND = f"""
SELECT coalesce(json_agg(json_build_array(found, personal) ORDER BY ordinality), '[]')::text FROM
jsonb_array_elements(%(questions)s::jsonb) WITH ORDINALITY AS s(body, ordinality)
CROSS JOIN LATERAL (SELECT ARRAY(SELECT jsonb_array_elements_text(body->'models')) AS models,
  ARRAY(SELECT jsonb_array_elements_text(body->'models')
    UNION ALL SELECT '{ANY_MODEL}' WHERE body->>'kind' = 'IMAGE') AS classes,
  (body->>'max_size')::bigint AS max_size, (body->>'allowed')::bigint AS allowed,
  (body->>'places')::bigint AS wanted,
  (body->'after'->>0)::bigint AS after_rank, (body->'after'->>1)::bigint AS after_position) AS w
CROSS JOIN LATERAL (
  WITH heads AS MATERIALIZED (
    SELECT * FROM ({_HEADS_OF.format(audience=f"'{EVERYBODY}'", further="")}) AS h
    ORDER BY h.rank DESC, h.position LIMIT CASE WHEN w.after_rank IS NULL THEN w.wanted END),
  least AS MATERIALIZED (
    SELECT CASE WHEN w.after_rank IS NULL AND count(*) = w.wanted THEN min(rank) ELSE -9223372036854775808 END AS rank
    FROM heads),
  places AS MATERIALIZED (
    SELECT e.job, e.rank, e.position FROM heads CROSS JOIN LATERAL (
      SELECT q.job, q.rank, q.position FROM projections.queue_entry q
      WHERE q.realm = %(realm)s AND q.model = heads.model AND q.audience = '{
    EVERYBODY
}' AND q.mask = heads.mask
        AND q.size = heads.size AND q.rank >= (SELECT rank FROM least) AND {_BEHIND}
      ORDER BY q.rank DESC, q.position LIMIT w.wanted) AS e
    ORDER BY e.rank DESC, e.position LIMIT w.wanted)
  SELECT coalesce(json_agg(json_build_array(p.job, {OTHERS}, p.rank, p.position, {
    _BLACKLISTED.format(job="p.job")
})
    ORDER BY p.rank DESC, p.position), '[]') AS found FROM places p
) AS shared
CROSS JOIN LATERAL (
  SELECT coalesce(json_agg(mine.found ORDER BY o.ordinality), '[]') AS personal
  FROM jsonb_array_elements(body->'askers') WITH ORDINALITY AS o(asker, ordinality)
  CROSS JOIN LATERAL (
    WITH heads AS MATERIALIZED (
      SELECT * FROM (
        SELECT * FROM ({_HEADS_OF.format(audience="'+' || (asker->>0)", further="")}) AS one
        UNION ALL
        SELECT * FROM ({
    _HEADS_OF.format(audience=f"'{ALL_BUT}'", further="AND position(asker->>0 IN h.denied) = 0")
}) AS all_but) AS h
      ORDER BY h.rank DESC, h.position LIMIT CASE WHEN w.after_rank IS NULL THEN w.wanted END),
    denying AS MATERIALIZED (
      SELECT d.model, '{ALL_BUT}' AS audience, d.mask, d.size FROM projections.queue_denial d
      WHERE w.wanted > 0 AND d.realm = %(realm)s AND d.worker IN ((asker->>0)::uuid, '{ANYBODY}')
        AND {_FITS.format(row="d")} AND d.mask & ~w.allowed = 0
        AND (SELECT true FROM projections.queue_denial mine
          WHERE mine.realm = %(realm)s AND mine.worker = (asker->>0)::uuid LIMIT 1)
      GROUP BY d.model, d.mask, d.size HAVING count(*) = 2 AND min(d.jobs) < max(d.jobs)),
    chosen AS MATERIALIZED (
      SELECT e.job, e.rank, e.position FROM (
        SELECT model, audience, mask, size FROM heads
        UNION SELECT * FROM denying WHERE model = ANY(w.classes)) AS best
      CROSS JOIN LATERAL (
        SELECT q.job, q.rank, q.position FROM projections.queue_entry q
        WHERE q.realm = %(realm)s AND q.model = best.model AND q.audience = best.audience AND q.mask = best.mask
          AND q.size = best.size AND position(asker->>0 IN q.denied) = 0 AND {_BEHIND}
        ORDER BY q.rank DESC, q.position LIMIT w.wanted) AS e
      ORDER BY e.rank DESC, e.position LIMIT w.wanted)
    SELECT coalesce(json_agg(json_build_array(p.id, p.near, p.rank, p.position, {
    _BLACKLISTED.format(job="p.id")
})
      ORDER BY p.near DESC, p.rank DESC, p.position), '[]') AS found
    FROM (
      SELECT id, {OWN} AS near, rank, position FROM ({_OF_ONE.format(requester="(asker->>1)::uuid")}) AS own
      UNION ALL
      SELECT j.id, {FRIENDS}, j.rank, j.position FROM jsonb_array_elements_text(asker->3) AS friend
      CROSS JOIN LATERAL ({_OF_ONE.format(requester="friend::uuid")}) AS j
      UNION ALL SELECT job, {OTHERS}, rank, position FROM chosen) AS p) AS mine
) AS own
"""  # noqa: S608

_Ask = tuple[
    JobKind, tuple[str, ...], int, int, tuple[str, ...], tuple[str, ...], bool, tuple[int, int] | None
]
_Answer = tuple[tuple[Candidate, ...], tuple[tuple[Candidate, ...], ...]]
_decoder = msgspec.json.Decoder(list[_Answer])


class Questions:
    """The searches of all pops of a batch, those that ask for the same put together.

    Each of the pops may take the best place of any other, so all look at so many more.
    """

    def __init__(self, realm: int, searches: Sequence[Search]) -> None:
        self._realm = realm
        self._places = CANDIDATES + len(searches) - 1
        self._of_owner = Counter(search.owner for search in searches)
        self._alike: dict[_Ask, list[Search]] = {}
        for search in dict.fromkeys(searches):
            self._alike.setdefault(_ask(search), []).append(search)

    def __bool__(self) -> bool:
        """Whether anything is searched for."""
        return bool(self._alike)

    @property
    def blacklisted(self) -> bool:
        """Whether any search has a blacklist."""
        return any(blacklist for _, _, _, _, _, blacklist, _, _ in self._alike)

    def parameters(self) -> dict[str, object]:
        """What `FIND` takes."""
        questions = [self._question(searches) for searches in self._alike.values()]
        return {"realm": self._realm, "questions": msgspec.json.encode(questions).decode()}

    def _question(self, searches: Sequence[Search]) -> dict[str, Any]:
        first = searches[0]
        return {
            "kind": first.kind,
            "models": first.models,
            "max_size": first.max_size,
            "allowed": first.allowed,
            "soft_prompts": first.soft_prompts,
            "blacklist": first.blacklist,
            "after": first.after,
            "places": 0 if first.own_only else self._places,
            "askers": [(s.worker, s.owner, self._own(s), () if s.own_only else s.friends) for s in searches],
        }

    def _own(self, search: Search) -> int:
        """How many of the owner's, and of each friend's, jobs are looked at; those come only at the start."""
        if search.after is not None:
            return 0
        own = OWN_CANDIDATES_BLACKLISTED if search.blacklist else OWN_CANDIDATES
        return own + self._of_owner[search.owner] - 1

    def answers(self, text: str) -> dict[Search, Found]:
        """What each search found, from the statement's one text value."""
        answers: dict[Search, Found] = {}
        for searches, (places, personal) in zip(self._alike.values(), _decoder.decode(text), strict=True):
            for search, mine in zip(searches, personal, strict=True):
                answers[search] = self._found(search, places, mine)
        return answers

    def _found(self, search: Search, places: Sequence[Candidate], mine: Sequence[Candidate]) -> Found:
        """The best of what waits for everybody and of what waits for this worker among some."""
        chosen = [candidate for candidate in mine if candidate.near == OTHERS]
        best = sorted((*places, *chosen), key=order)[: self._places] if chosen else places
        first = mine[: len(mine) - len(chosen)]
        more = not search.own_only and len(best) >= self._places
        return Found((*first, *best), (best[-1].rank, best[-1].position) if more else None)


def _ask(search: Search) -> _Ask:
    return (
        search.kind,
        search.models,
        search.max_size,
        search.allowed,
        search.soft_prompts,
        search.blacklist,
        search.own_only,
        search.after,
    )


def jobs_of(answers: dict[Search, Found]) -> set[UUID]:
    """The jobs that any search found."""
    return {candidate.job for found in answers.values() for candidate in found.candidates}
