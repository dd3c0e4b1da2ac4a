"""Processes and servers are killed at random moments, alone and in pairs, while a crowd is at work; then everything is checked.

One seed decides who is killed, when and for how long, and what the crowd wants; how threads and processes meet it
cannot decide. Look next: `tests/chaos/crowd.py`, `tests/chaos/aftermath.py` (what must hold), `tests/chaos/soak.py`.
"""

import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import redis

from tests.acceptance.horde import User, picture
from tests.acceptance.processes import eventually
from tests.chaos.crowd import PATIENCE, Caller, Crowd, Ledger, ask_for_pictures, work
from tests.chaos.world import SERVERS, World
from tests.stranger import Stranger, answer

#: who is killed; `backend` is the database's process of a writer, which takes all other sessions with it
VICTIMS = ("api0", "api1", "relay0", "relay1", "actors", "worker0", *SERVERS, "backend")
PAIRS_IN_A_ROUND = 3
_WRITER = (
    "SELECT pid FROM pg_stat_activity WHERE application_name = 'hoard-writer' AND datname = current_database() "
    "ORDER BY xact_start NULLS LAST LIMIT 1"
)


def rounds(chance: random.Random, whom: Sequence[str]) -> list[tuple[str, ...]]:
    """Everybody once, and some pairs, in any order."""
    singles: list[tuple[str, ...]] = [(victim,) for victim in whom]
    pairs = [tuple(chance.sample(whom, 2)) for _ in range(PAIRS_IN_A_ROUND)]
    deck = singles + pairs
    chance.shuffle(deck)
    return deck


@contextlib.contextmanager
def outside() -> Iterator[str]:
    """A server outside, which nobody kills, with a picture: the picture's URL."""
    with Stranger(picture=answer(picture(64, 64), content_type="image/webp")) as stranger:
        yield stranger.url("picture")


@dataclass
class Storm:
    """A storm over a world: `rage`, then `calm`; `ledger` has what was promised, `kills` who was killed how often."""

    world: World
    seed: int
    #: the URL of a picture outside; some jobs are drawn from it
    source: str
    kills: Counter[str] = field(default_factory=Counter)
    #: seconds until a command was acknowledged after a blow, at worst
    longest_silence: float = 0.0
    seconds: float = 0.0
    victims: Sequence[str] = VICTIMS

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.ledger = Ledger()
        self.crowd = Crowd()
        self.users: list[User] = []

    @property
    def struck(self) -> int:
        """How many were killed."""
        return self.kills.total()

    def rage(self, kills: int, seconds: float) -> None:
        """Strike until so many are dead or so many seconds have passed."""
        self._gather()
        started = time.monotonic()
        try:
            while self.struck < kills and time.monotonic() - started < seconds:
                for victims in rounds(self.chance, self.victims):
                    if self.struck >= kills or time.monotonic() - started >= seconds:
                        break
                    self._strike(victims)
                self._flush()
        finally:
            self._revive_all()
            self.seconds = time.monotonic() - started
        eventually(self._everything_answers, PATIENCE, "everything is ready again")

    def calm(self) -> None:
        """Let the crowd finish; end by the clock what nobody ends; wait until nothing is due any more."""
        self.crowd.close()
        with contextlib.closing(_Helpers(self)):
            for minutes in (0, 15, 75):
                self.world.set_clock(f"{minutes} minutes")
                self._settle()
                if not self.open():
                    return
            eventually(lambda: not self.open(), PATIENCE, f"everything ends: {self.open()}")

    def _settle(self) -> None:
        """Wait until nothing has changed for longer than a sweep takes."""
        seen: object = None
        while seen != (seen := (self.open(), self.world.rows("SELECT max(position) FROM log.event"))):
            time.sleep(1.6)
            self._revive_all()  # actors end by themselves if a library's thread died of the storm

    def open(self) -> dict[str, int]:
        """What has not ended yet, by kind."""
        found = self.world.rows(
            "SELECT (SELECT count(*) FROM projections.leases WHERE state = 'LIVE'), "
            "(SELECT count(*) FROM projections.jobs WHERE ended_at IS NULL), "
            "(SELECT count(*) FROM relay.reaction WHERE completed_by IS NULL), "
            "(SELECT coalesce(max(position), 0) FROM log.event) - "
            "(SELECT position FROM relay.checkpoint WHERE follower = 'reactions')"
        )[0]
        names = ("live leases", "jobs", "open calls", "events not followed")
        return {name: count for name, count in zip(names, found, strict=True) if count}

    def _gather(self) -> None:
        """Two clients with accounts, one without; two workers that are driven by hand and one that is a process."""
        horde = self.world.horde
        self.users = [horde.register(f"storm {n}", kudos) for n, kudos in enumerate(("500", "3"))]
        owner = horde.register("storm owner")
        urls = [api.url for api in self.world.apis]

        def caller(key: str | None) -> Caller:
            chance = random.Random(self.chance.random())
            return Caller(urls, key, self.ledger, chance, self.crowd.stop, self.source)

        self.world.start("worker0")
        for user in self.users:
            self.crowd.add(ask_for_pictures, caller(user.key), user.id, self.users)
        self.crowd.add(ask_for_pictures, caller(None), None, ())
        for number in range(2):
            self.crowd.add(work, caller(owner.key), f"storm worker {number} of {self.world.number}")
        eventually(lambda: self.ledger.count > 5, PATIENCE, "the crowd is at work")

    def _strike(self, victims: tuple[str, ...]) -> None:
        self._wait()
        for victim in victims:
            if self._kill(victim):
                self.kills[victim] += 1
        time.sleep(self.chance.uniform(0.0, 0.6))
        before, struck = self.ledger.count, time.monotonic()
        self._revive_all()
        while self.ledger.count == before and not self.crowd.faults and time.monotonic() - struck < PATIENCE:
            time.sleep(0.05)
            self._revive_all()  # what was killed a moment ago may have looked alive
        assert not self.crowd.faults, self.crowd.faults
        assert self.ledger.count > before, f"nothing was acknowledged for {PATIENCE} s after {victims} died"
        self.longest_silence = max(self.longest_silence, time.monotonic() - struck)

    def _wait(self) -> None:
        """Let the crowd be until the next blow."""
        time.sleep(self.chance.uniform(0.0, 1.0))

    def _kill(self, victim: str) -> bool:
        if victim != "backend":
            self.world.kill(victim)
            return True
        with contextlib.suppress(Exception):  # the database may be dead already
            for (pid,) in self.world.rows(_WRITER):
                os.kill(pid, signal.SIGKILL)
                return True
        return False

    def _revive_all(self) -> None:
        for name in SERVERS:
            with contextlib.suppress(ProcessLookupError):
                if not self.world.lives(name):
                    self.world.revive(name)
        for name in list(self.world.processes):
            if not self.world.lives(name):
                self.world.revive(name)

    def _flush(self) -> None:
        """Valkey forgets everything: the queue of messages too."""
        with contextlib.suppress(redis.RedisError):
            self.world.flush_valkey()
            self.ledger.hear("(Valkey was emptied)")

    def _everything_answers(self) -> bool:
        return all(api.health() is not None for api in self.world.apis)

    def table(self) -> str:
        """Who was killed, what was promised, what people were told."""
        head = f"seed {self.seed}: {self.struck} kills in {self.seconds:.0f} s"
        lines = [f"{head}, longest silence {self.longest_silence:.1f} s"]
        for title, counts in (
            ("killed", self.kills),
            ("acknowledged", {name: len(facts) for name, facts in self.ledger.promised.items()}),
            ("told", self.ledger.told),
        ):
            lines.append(f"  {title}")
            lines += [f"    {name or '(nothing)':<24}{count:>8}" for name, count in sorted(counts.items())]
        return "\n".join(lines)


class _Helpers:
    """Workers that serve what is left after the storm."""

    def __init__(self, storm: Storm) -> None:
        self.crowd = Crowd()
        owner = storm.world.horde.register("helper")
        urls = [api.url for api in storm.world.apis]
        for number in range(2):
            caller = Caller(urls, owner.key, storm.ledger, random.Random(number), self.crowd.stop)
            self.crowd.add(work, caller, f"helper {number} of {storm.world.number}")

    def close(self) -> None:
        self.crowd.close()
