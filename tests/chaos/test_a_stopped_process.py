"""A process that hangs while its writer holds the lock: the others go on within five seconds, and so does it once it wakes up."""

import os
import signal
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

from tests.acceptance.wires import Api
from tests.chaos.test_sudden_death import GIVE
from tests.chaos.world import World

#: a transaction of a writer that waits for its process, and whether it has the lock row's table locked
HOLDING = """
SELECT a.state FROM pg_stat_activity AS a
WHERE a.datname = current_database() AND a.application_name = 'hoard-writer' AND a.wait_event = 'ClientRead'
  AND EXISTS (SELECT FROM pg_locks AS l WHERE l.pid = a.pid AND l.granted AND l.relation = 'log.lock'::regclass)
"""
#: rows of which somebody else has the lock are passed over
FREE = "SELECT count(*) FROM (SELECT FROM log.lock FOR UPDATE SKIP LOCKED) AS free"
TRIES = 600
#: seconds: the server ends the session after four, the rest is for a slow machine
LIMIT = 6.0


def stop_while_holding(world: World, pid: int) -> None:
    """Stop a process at moments of its load until it is certain that its writer has the lock."""
    seen: Counter[str] = Counter()
    with world.owner() as owner:
        for _ in range(TRIES):
            os.kill(pid, signal.SIGSTOP)
            time.sleep(0.03)  # what was sent before is worked off
            holding = [str(row[0]) for row in owner.execute(HOLDING)]
            free = owner.execute(FREE).fetchone()
            if len(holding) == 1 and free == (0,):
                return
            seen.update(holding)
            os.kill(pid, signal.SIGCONT)
            time.sleep(0.01)
    raise AssertionError(f"{TRIES} times stopped, never with the lock: {seen}")


def give(api: Api, to: str, key: str) -> str:
    """Give 0.01 and say what the answer was."""
    answer = api.post(GIVE, {"input": {"to": to, "amount": "0.01", "idempotencyKey": key}})
    result = (answer.body.get("data") or {}).get("transferKudos") or {}
    return "given" if "position" in result else str(result.get("code") or answer.codes)


def test_a_process_that_hangs_with_the_lock_holds_nobody_up_for_long(world: World) -> None:
    giver, taker = world.horde.register("giver", "100"), world.horde.register("taker")
    pid = world.apis[0].popen.pid
    done = threading.Event()
    keys: dict[str, str] = {}

    def work(number: int) -> None:
        api = Api(world.apis[0].url, giver.key)
        while not done.is_set():
            key = f"{number}.{len(keys)}"
            keys[key] = give(api, taker.alias, key)

    with ThreadPoolExecutor(4) as pool:
        working = [pool.submit(work, number) for number in range(4)]
        try:
            stop_while_holding(world, pid)
            started = time.monotonic()
            answer = give(Api(world.apis[1].url, giver.key), taker.alias, "meanwhile")
            held_up = time.monotonic() - started
            time.sleep(0.5)
        finally:
            os.kill(pid, signal.SIGCONT)
            time.sleep(0.5)
            done.set()
        for one in working:
            one.result(60)
    assert answer == "given"
    assert held_up < LIMIT, f"the others waited {held_up:.1f} s"
    assert held_up > 1, "it had the lock, so somebody had to wait for the server to end its session"
    assert set(keys.values()) <= {"given", "TRY_AGAIN"}, Counter(keys.values())
    api = Api(world.apis[0].url, giver.key)
    assert {give(api, taker.alias, key) for key in keys} == {"given"}, (
        "it goes on, and repeats are no second gift"
    )
    in_log = world.rows(
        "SELECT count(*) FROM log.event WHERE type = 'kudos.KudosTransferred' AND subject = %(giver)s",
        {"giver": giver.id},
    )
    assert in_log == [(len(keys) + 1,)]
    assert taker.kudos == Decimal(len(keys) + 1) / 100
