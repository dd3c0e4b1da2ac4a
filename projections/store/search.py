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

from projections.queue import (
    ANY_MODEL,
    CANDIDATES,
    OWN_CANDIDATES,
    OWN_CANDIDATES_BLACKLISTED,
    Candidate,
    Found,
    Search,
)

_BLACKLISTED = """body->'blacklist' <> '[]' AND EXISTS (
  SELECT 1 FROM vault.job v, jsonb_array_elements_text(body->'blacklist') AS word
  WHERE v.realm = %(realm)s AND v.job = {job} AND position(word IN lower(v.prompt)) > 0)"""

#: One JSON array [places, own jobs of each asker, after] a question, in their order. Only entries that rank at least
#: as the last of the best heads can be among the best places: each of those heads is a place itself.
FIND = f"""
SELECT coalesce(json_agg(json_build_array(found, owned, after) ORDER BY ordinality), '[]')::text FROM
jsonb_array_elements(%(questions)s::jsonb) WITH ORDINALITY AS s(body, ordinality)
CROSS JOIN LATERAL (SELECT ARRAY(SELECT jsonb_array_elements_text(body->'models')) AS models,
  (body->>'max_pixels')::bigint AS max_pixels, (body->>'allowed')::bigint AS allowed,
  (body->>'places')::bigint AS wanted,
  (body->'after'->>0)::bigint AS after_rank, (body->'after'->>1)::bigint AS after_position) AS w
CROSS JOIN LATERAL (
  WITH heads AS MATERIALIZED (
    SELECT h.model, h.mask, h.pixels, h.rank FROM projections.queue_head h
    WHERE w.wanted > 0 AND h.realm = %(realm)s AND h.model = ANY(w.models || '{ANY_MODEL}'::text)
      AND h.mask & ~w.allowed = 0 AND h.pixels <= w.max_pixels
    ORDER BY h.rank DESC, h.position LIMIT CASE WHEN w.after_rank IS NULL THEN w.wanted END),
  least AS MATERIALIZED (
    SELECT CASE WHEN w.after_rank IS NULL AND count(*) = w.wanted THEN min(rank) ELSE -9223372036854775808 END AS rank
    FROM heads),
  places AS MATERIALIZED (
    SELECT e.job, e.rank, e.position FROM heads CROSS JOIN LATERAL (
      SELECT q.job, q.rank, q.position FROM projections.queue_entry q
      WHERE q.realm = %(realm)s AND q.model = heads.model AND q.mask = heads.mask AND q.pixels = heads.pixels
        AND q.rank >= (SELECT rank FROM least)
        AND (w.after_rank IS NULL OR q.rank < w.after_rank OR (q.rank = w.after_rank AND q.position > w.after_position))
      ORDER BY q.rank DESC, q.position LIMIT w.wanted) AS e
    ORDER BY e.rank DESC, e.position LIMIT w.wanted)
  SELECT
    (SELECT coalesce(json_agg(json_build_array(p.job, 0, p.rank, p.position, {_BLACKLISTED.format(job="p.job")})
      ORDER BY p.rank DESC, p.position), '[]') FROM places p) AS found,
    (SELECT json_build_array(p.rank, p.position) FROM places p WHERE (SELECT count(*) FROM places) >= w.wanted
      ORDER BY p.rank, p.position DESC LIMIT 1) AS after
) AS result
CROSS JOIN LATERAL (
  SELECT coalesce(json_agg(mine.found ORDER BY o.ordinality), '[]') AS owned
  FROM jsonb_array_elements(body->'askers') WITH ORDINALITY AS o(asker, ordinality)
  CROSS JOIN LATERAL (
    SELECT coalesce(json_agg(json_build_array(j.id, 1, j.rank, j.position, {_BLACKLISTED.format(job="j.id")})
      ORDER BY j.rank DESC, j.position), '[]') AS found
    FROM (
      SELECT j.id, j.rank, j.position FROM projections.jobs j
      WHERE j.realm = %(realm)s AND j.requester = (asker->>1)::uuid AND j.waiting > 0
        AND j.state IN ('WAITING', 'PROCESSING') AND NOT j.fetching AND j.kind = 'IMAGE' AND j.pixels <= w.max_pixels AND j.mask & ~w.allowed = 0
        AND (j.models = '[]' OR j.models ?| w.models)
        AND (SELECT true FROM projections.generations g WHERE g.realm = %(realm)s AND g.job = j.id
          AND g.state = 'WAITING' AND NOT g.barred ? (asker->>0) LIMIT 1)
      ORDER BY j.rank DESC, j.position LIMIT (asker->>2)::bigint) AS j) AS mine
) AS own
"""  # noqa: S608

_Ask = tuple[tuple[str, ...], int, int, tuple[str, ...], bool, tuple[int, int] | None]
_Answer = tuple[tuple[Candidate, ...], tuple[tuple[Candidate, ...], ...], tuple[int, int] | None]
_decoder = msgspec.json.Decoder(list[_Answer])


class Questions:
    """The searches of all pops of a batch, those that ask for the same put together.

    Each of the pops may take the best place of any other, so all look at so many more.
    """

    def __init__(self, realm: int, searches: Sequence[Search]) -> None:
        self._realm = realm
        self._pops = len(searches)
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
        return any(blacklist for _, _, _, blacklist, _, _ in self._alike)

    def parameters(self) -> dict[str, object]:
        """What `FIND` takes."""
        questions = [self._question(searches) for searches in self._alike.values()]
        return {"realm": self._realm, "questions": msgspec.json.encode(questions).decode()}

    def _question(self, searches: Sequence[Search]) -> dict[str, Any]:
        first = searches[0]
        own = OWN_CANDIDATES_BLACKLISTED if first.blacklist else OWN_CANDIDATES
        askers = [(s.worker, s.owner, own + self._of_owner[s.owner] - 1) for s in searches]
        return {
            "models": first.models,
            "max_pixels": first.max_pixels,
            "allowed": first.allowed,
            "blacklist": first.blacklist,
            "after": first.after,
            "places": 0 if first.own_only else CANDIDATES + self._pops - 1,
            "askers": askers if first.after is None else [],
        }

    def answers(self, text: str) -> dict[Search, Found]:
        """What each search found, from the statement's one text value."""
        answers: dict[Search, Found] = {}
        for searches, (places, owned, after) in zip(self._alike.values(), _decoder.decode(text), strict=True):
            for search, own in zip(searches, owned or [()] * len(searches), strict=True):
                answers[search] = Found((*own, *places), None if search.own_only else after)
        return answers


def _ask(search: Search) -> _Ask:
    return (
        search.models,
        search.max_pixels,
        search.allowed,
        search.blacklist,
        search.own_only,
        search.after,
    )


def jobs_of(answers: dict[Search, Found]) -> set[UUID]:
    """The jobs that any search found."""
    return {candidate.job for found in answers.values() for candidate in found.candidates}
