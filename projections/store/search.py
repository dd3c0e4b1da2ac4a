"""Searching the queue for the best jobs that a worker may serve: one statement for all searches of a batch.

Looks at class heads first, so its cost does not grow with the queue. The only place where the vault is looked at
while searching: a worker's blacklist is compared with at most `CANDIDATES` prompts. May not decide; what it finds is
confirmed by the decider under the lock. Look next: `projections.queue`, `app.workers.matching`.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from projections.queue import ANY_MODEL, CANDIDATES, OWN_CANDIDATES, Found, Search

#: Binds: %(realm)s, %(searches)s (JSON array). One JSON array [candidates, after] a search, in the order of the
#: searches. `places` are looked at before jobs are made distinct, so that a job in many classes hides no other.
_FIND = f"""
SELECT coalesce(json_agg(json_build_array(coalesce(found, '[]'), after) ORDER BY s.ordinality), '[]')::text FROM
jsonb_array_elements(%(searches)s::jsonb) WITH ORDINALITY AS s(body, ordinality)
CROSS JOIN LATERAL (SELECT ARRAY(SELECT jsonb_array_elements_text(s.body->'models')) AS models,
  (s.body->>'max_pixels')::bigint AS max_pixels, (s.body->>'allowed')::bigint AS allowed,
  (s.body->>'owner')::uuid AS owner, (s.body->>'own_only')::boolean AS own_only,
  (s.body->'after'->>0)::bigint AS after_rank, (s.body->'after'->>1)::bigint AS after_position) AS w
CROSS JOIN LATERAL (
  WITH own AS (
    SELECT j.id AS job, 1 AS own, j.rank, j.position FROM projections.jobs j
    WHERE j.realm = %(realm)s AND j.requester = w.owner AND j.waiting > 0 AND j.state IN ('WAITING', 'PROCESSING')
      AND w.after_rank IS NULL AND j.kind = 'IMAGE' AND j.pixels <= w.max_pixels AND j.mask & ~w.allowed = 0
      AND (j.models = '[]' OR j.models ?| w.models)
    ORDER BY j.rank DESC, j.position LIMIT {OWN_CANDIDATES}),
  places AS (
    SELECT e.job, 0 AS own, e.rank, e.position FROM (
      SELECT h.model, h.mask, h.pixels FROM projections.queue_head h
      WHERE NOT w.own_only AND h.realm = %(realm)s AND h.model = ANY(w.models || '{ANY_MODEL}'::text)
        AND h.mask & ~w.allowed = 0 AND h.pixels <= w.max_pixels
      ORDER BY h.rank DESC, h.position LIMIT CASE WHEN w.after_rank IS NULL THEN {CANDIDATES} END) AS heads
    CROSS JOIN LATERAL (
      SELECT q.job, q.rank, q.position FROM projections.queue_entry q
      WHERE q.realm = %(realm)s AND q.model = heads.model AND q.mask = heads.mask AND q.pixels = heads.pixels
        AND (w.after_rank IS NULL OR q.rank < w.after_rank OR (q.rank = w.after_rank AND q.position > w.after_position))
      ORDER BY q.rank DESC, q.position LIMIT {CANDIDATES}) AS e
    ORDER BY e.rank DESC, e.position LIMIT {CANDIDATES}),
  chosen AS (SELECT DISTINCT * FROM (SELECT * FROM own UNION ALL SELECT * FROM places) AS both_ways)
  SELECT
    (SELECT json_agg(json_build_array(c.job, c.own, c.rank, c.position,
      s.body->'blacklist' <> '[]' AND EXISTS (
        SELECT 1 FROM vault.job v, jsonb_array_elements_text(s.body->'blacklist') AS b
        WHERE v.realm = %(realm)s AND v.job = c.job AND position(b IN lower(v.prompt)) > 0))
      ORDER BY c.own DESC, c.rank DESC, c.position) FROM chosen c) AS found,
    (SELECT json_build_array(p.rank, p.position) FROM places p WHERE (SELECT count(*) FROM places) >= {CANDIDATES}
      ORDER BY p.rank, p.position DESC LIMIT 1) AS after
) AS result
"""  # noqa: S608

#: the statement for a lock-free probe
PROBE = _FIND

#: the statement under the lock: it also leaves what it found for the statements behind it in the same pipeline
UNDER_LOCK = f"SELECT set_config('hoard.found', ({_FIND}), true)"

#: the jobs that `UNDER_LOCK` found, as a subquery
FOUND_JOBS = (
    "SELECT (candidate->>0)::uuid FROM jsonb_array_elements(current_setting('hoard.found')::jsonb) AS search, "
    "jsonb_array_elements(search->0) AS candidate"
)

_decoder = msgspec.json.Decoder(list[Found])


def parameters(realm: int, searches: Sequence[Search]) -> dict[str, object]:
    """What the statements take."""
    return {"realm": realm, "searches": msgspec.json.encode(searches).decode()}


def found(text: str) -> list[Found]:
    """What the statement's one text value says, one for each search."""
    return _decoder.decode(text)
