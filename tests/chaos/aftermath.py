"""What must hold after a storm: nothing that was acknowledged is lost or doubled, nothing is half done, everything goes on.

Look next: `tests/chaos/storm.py`.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.acceptance.horde import final
from tests.acceptance.processes import eventually, run_cli
from tests.chaos.storm import Storm

SUBMITTED = "('jobs.ImageJobSubmitted', 'jobs.TextJobSubmitted', 'jobs.InterrogationJobSubmitted')"
#: rows of one statement that are to be none: what is in the vault of jobs, leases and commands that the log has not, and back
HALVES = {
    "a job without its words": f"""
        SELECT e.data::json->>'job' FROM log.event AS e WHERE e.type IN {SUBMITTED}
          AND NOT EXISTS (SELECT FROM vault.job AS v WHERE v.job = (e.data::json->>'job')::uuid)""",
    "words without their job": f"""
        SELECT v.job FROM vault.job AS v WHERE NOT EXISTS (SELECT FROM log.event AS e
          WHERE e.type IN {SUBMITTED} AND (e.data::json->>'job')::uuid = v.job)""",
    "a generation without its seed": """
        SELECT g.id FROM projections.generations AS g
        WHERE NOT EXISTS (SELECT FROM vault.generation AS v WHERE v.generation = g.id)""",
    "a result nobody delivered": """
        SELECT r.generation FROM vault.result AS r WHERE NOT EXISTS (SELECT FROM projections.generations AS g
          WHERE g.id = r.generation AND g.state IN ('DONE', 'CENSORED'))""",
    "a kept outcome beyond the log": """
        SELECT c.position FROM vault.command AS c
        WHERE NOT EXISTS (SELECT FROM log.event AS e WHERE e.position = c.position)""",
    "a job that has not ended": "SELECT id FROM projections.jobs WHERE ended_at IS NULL",
    "a live lease": "SELECT id FROM projections.leases WHERE state = 'LIVE'",
    "a hold": "SELECT id FROM projections.accounts WHERE held <> 0",
    "a hold of a job": "SELECT id FROM projections.jobs WHERE held <> 0",
    "a queue's entry": "SELECT job::text FROM projections.queue_entry",
    "time that ran backwards": """
        SELECT position FROM (SELECT position, occurred_at, lag(occurred_at) OVER (ORDER BY position) AS before
          FROM log.event) AS e WHERE occurred_at < before""",
    "a source without its job": f"""
        SELECT s.job FROM vault.source AS s WHERE NOT EXISTS (SELECT FROM log.event AS e
          WHERE e.type IN {SUBMITTED} AND (e.data::json->>'job')::uuid = s.job)""",
    "a link of a source that was fetched": """
        SELECT s.job FROM vault.source AS s WHERE s.url <> '' AND EXISTS (SELECT FROM log.event AS e
          WHERE e.type = 'jobs.SourcesFetched' AND (e.data::json->>'job')::uuid = s.job)""",
    "sources settled twice, or never asked for": f"""
        SELECT job FROM (SELECT data::json->>'job' AS job, count(*) AS times FROM log.event
          WHERE type IN ('jobs.SourcesFetched', 'jobs.SourcesRefused') GROUP BY 1) AS settled
        WHERE times > 1 OR job NOT IN (SELECT data::json->>'job' FROM log.event
          WHERE type IN {SUBMITTED} AND (data::json->>'fetching')::boolean)""",
    "a job drawn before its sources were there": f"""
        SELECT l.position FROM log.event AS l JOIN log.event AS s ON s.type IN {SUBMITTED}
          AND s.data::json->>'job' = l.data::json->>'job' AND (s.data::json->>'fetching')::boolean
        WHERE l.type = 'jobs.GenerationsLeased' AND NOT EXISTS (SELECT FROM log.event AS f
          WHERE f.type = 'jobs.SourcesFetched' AND f.position < l.position
          AND f.data::json->>'job' = l.data::json->>'job')""",
    "kudos that came from nowhere": "SELECT sum(amount) FROM log.posting HAVING sum(amount) <> 0",
    "an escrow that is not what was put there": """
        SELECT a.id FROM projections.accounts AS a WHERE a.escrow <> (
          SELECT coalesce(sum(p.amount), 0) FROM log.posting AS p WHERE p.account = 'escrow:' || a.id)
          OR a.escrow < 0""",
    "uptime that was rewarded twice": """
        SELECT position FROM (SELECT position, occurred_at, lag(occurred_at) OVER (
            PARTITION BY data::json->>'worker' ORDER BY position) AS before
          FROM log.event WHERE type = 'workers.UptimeRewarded') AS e WHERE occurred_at < before + interval '10 minutes'""",
    "a picture lost although its upload was answered": """
        SELECT position FROM log.event WHERE type = 'sharing.PictureWithheld' AND data::json->>'reason' = 'MISSING'""",
}
#: the events that acknowledged commands promised: type, last position of the same decision, whose, what
EVENTS = """
SELECT type, last, subject::text, data FROM (
  SELECT type, subject, data, max(position) OVER (PARTITION BY metadata::json->>'command') AS last FROM log.event) AS e
WHERE type = ANY(ARRAY['jobs.ImageJobSubmitted', 'kudos.KudosTransferred', 'jobs.JobCancelled',
  'jobs.GenerationsLeased', 'jobs.GenerationDelivered', 'jobs.SourcesFetched'])
"""
#: what a process writes when it met a bug
BUGS = ("command_raised", "batch_failed", "follower_failed", "Traceback")


def check(storm: Storm) -> None:
    """All of it. Raises AssertionError."""
    nothing_is_half_done(storm)
    every_promise_is_kept_once(storm)
    bucket_and_log_agree(storm)
    the_log_is_whole(storm)
    it_goes_on(storm)
    nobody_met_a_bug(storm)


def nothing_is_half_done(storm: Storm) -> None:
    """The stores agree with each other, and everything has ended."""
    found = {what: storm.world.rows(statement) for what, statement in HALVES.items()}
    assert not any(found.values()), {what: rows[:5] for what, rows in found.items() if rows}


def every_promise_is_kept_once(storm: Storm) -> None:
    """Every acknowledged command is in the log once, and nobody's command is there that was not acknowledged."""
    log = [(name, place, who, json.loads(data)) for name, place, who, data in storm.world.rows(EVENTS)]
    ledger = storm.ledger

    def times(name: str, key: str) -> Counter[Any]:
        return Counter(data[key] for kind, _, _, data in log if kind == name)

    submitted = [(place, data["job"]) for kind, place, _, data in log if kind == "jobs.ImageJobSubmitted"]
    promised = [(fact["position"], fact["job"]) for fact in ledger.of("submitImageJob")]
    _same(submitted, promised, "jobs")
    mine = {user.id for user in storm.users}
    given = [place for kind, place, who, _ in log if kind == "kudos.KudosTransferred" and who in mine]
    _same(given, [fact["position"] for fact in ledger.of("transferKudos")], "gifts")
    cancelled, leased = times("jobs.JobCancelled", "job"), times("jobs.GenerationsLeased", "lease")
    told = [fact["job"] for fact in ledger.of("cancelJob") if fact["state"] == "CANCELLED"]
    assert all(cancelled[job] for job in told), (
        "cancelled jobs"
    )  # running generations follow in events of their own
    dropped = Counter(
        key for kind, _, _, data in log if kind == "jobs.JobCancelled" for key in data["generations"]
    )
    assert max(dropped.values(), default=1) == 1, "no generation is cancelled twice"
    assert all(leased[fact["lease"]] == 1 for fact in ledger.of("popJob")), "leases"
    delivered = times("jobs.GenerationDelivered", "generation")
    paid = [fact for fact in ledger.of("submitResult") if fact["asked"] == "OK" and fact["state"] == "DONE"]
    assert paid, "something was delivered"
    assert any(kind == "jobs.SourcesFetched" for kind, *_ in log), "something was drawn from a picture"
    assert all(delivered[fact["generation"]] == 1 for fact in paid), "deliveries"
    assert max(delivered.values()) == 1, "no generation is delivered twice"


def _same(found: Iterable[Any], promised: Iterable[Any], what: str) -> None:
    there, told = Counter(found), Counter(promised)
    assert there == told, f"{what}: lost {[*(told - there)][:5]}, never acknowledged {[*(there - told)][:5]}"


def bucket_and_log_agree(storm: Storm) -> None:
    """Each published picture that is not withdrawn lies in the shared bucket with its metadata, and nothing else does."""
    published = {
        (data := json.loads(text))["generation"]: data["sha256"]
        for (text,) in storm.world.rows("SELECT data FROM log.event WHERE type = 'sharing.PicturePublished'")
    }
    withdrawn = storm.world.rows("SELECT data FROM log.event WHERE type = 'sharing.PicturesWithdrawn'")
    gone = {key for (text,) in withdrawn for key in json.loads(text)["generations"]}
    published = {key: digest for key, digest in published.items() if key not in gone}
    files = storm.world.shared()
    assert set(files) == {f"{key}.{kind}" for key in published for kind in ("webp", "json")}
    for key, digest in published.items():
        assert hashlib.sha256(files[f"{key}.webp"]).hexdigest() == digest, key
        assert json.loads(files[f"{key}.json"])["sha256"] == digest, key
    assert published or gone, "something was shared"


def the_log_is_whole(storm: Storm) -> None:
    """Dense, chained, balanced; its projections are what it says, and what a rebuild makes of it."""
    with ThreadPoolExecutor(2) as pool:
        for done in [
            pool.submit(run_cli, what, "verify", variables=storm.world.variables)
            for what in ("log", "projections")
        ]:
            done.result()
    before = _everything(storm)
    run_cli("projections", "rebuild", variables=storm.world.variables)
    assert _everything(storm) == before, "a rebuild makes the same rows"


def _everything(storm: Storm) -> dict[str, list[tuple[Any, ...]]]:
    tables = (
        "accounts",
        "jobs",
        "generations",
        "leases",
        "workers",
        "teams",
        "modes",
        "queue_head",
        "queue_histogram",
    )
    return {
        name: storm.world.rows(f"SELECT t::text FROM projections.{name} AS t ORDER BY 1") for name in tables
    }


def it_goes_on(storm: Storm) -> None:
    """One more job, from its submission to its picture in the bucket."""
    horde = storm.world.horde
    user, worker = (
        horde.register("afterwards", "10"),
        horde.register("worker afterwards").worker("afterwards"),
    )
    job = user.submit(models=["afterwards"], share=True)
    worker.serve()
    done = final(job)
    assert done["state"] == "DONE"
    generation = done["generations"][0]["id"]
    eventually(lambda: f"{generation}.json" in storm.world.shared(), 40, "its picture is published")


def nobody_met_a_bug(storm: Storm) -> None:
    """No caller was told of an internal error, and no process wrote of one."""
    assert "INTERNAL" not in storm.ledger.told
    met = [(name, bug) for name, said in storm.world.said().items() for bug in BUGS if bug in said]
    assert not met, [(name, bug, storm.world.said()[name].partition(bug)[2][:2000]) for name, bug in met[:3]]
