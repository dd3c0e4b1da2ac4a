"""Where the soak takes place: processes that are killed at random, some that are spared, and everybody who lives there.

Spared are one API process, one relay and one process of actors, so that a life as long as the soak is measured beside
the short ones. Look next: `tests/chaos/storm.py` (how it rages), `tests/soak/people.py`, `tests/soak/crew.py`.
"""

import contextlib
import json
import os
import random
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from app.embedded.stack import EmbeddedStack
from app.platform.settings import Settings
from tests.acceptance.horde import User
from tests.acceptance.processes import Process, eventually
from tests.chaos.crowd import PATIENCE
from tests.chaos.storm import Storm
from tests.chaos.world import SERVERS, World
from tests.soak.meter import Meter
from tests.soak.people import IMAGE_MODELS, TEXT_MODELS, Crowd, Outside
from tests.stranger import OUTSIDE, RECEIVER_PEM, Stranger

#: workers by kind; and the processes that they are tasks of
WORKERS = {"image": 16, "text": 12, "interrogation": 12}
CREWS = 4
CLIENTS, NOBODIES, WITH_WEBHOOKS = 200, 20, 30
#: what is never killed
SPARED = ("api2", "relay2", "actors1")
VICTIMS = (
    *("api0", "api1", "relay0", "relay1", "actors"),
    *(f"crew{number}" for number in range(CREWS)),
    *(*SERVERS, "backend"),
)
#: rows at hand: few, so that they are soon as many as they may be, and memory that goes on growing is something else
WRITER_ROWS = 2_000
#: seconds between two blows, at least and at most
BETWEEN = (6.0, 24.0)
_WEBHOOK = "... on CreateWebhookSuccess { webhook { id } secret position }"


class Town(World):
    """A world with webhooks and crews of workers."""

    def __init__(self, folder: Path, stack: EmbeddedStack, settings: Settings) -> None:
        """Two of everything to be killed and one to be spared."""
        super().__init__(folder, stack, settings, apis=3, relays=3)
        self.settings = msgspec.structs.replace(
            self.settings, webhook_networks=f"{OUTSIDE}/32", writer_rows=WRITER_ROWS
        )
        # Webhooks are told over https only: the certificate of the receiver is believed, and no other.
        self.variables = self.settings.to_env() | {"SSL_CERT_FILE": str(RECEIVER_PEM)}

    def start(self, name: str) -> None:
        """As of every world, and the crews."""
        if not name.startswith("crew"):
            super().start(name)
            return
        log, plan = self.folder / f"{name}.log", self.folder / f"{name}.json"
        self.processes[name] = Process(log, str(plan), variables=self.variables, module="tests.soak.crew")

    def pids(self) -> dict[str, int]:
        """Every process and server by name, as far as it runs."""
        found = {name: process.popen.pid for name, process in list(self.processes.items())}
        for name in SERVERS:
            with contextlib.suppress(Exception):  # it is just being killed or started
                found[name] = self.stack.pid(name)
        return found


class Soak(Storm):
    """A storm over a town."""

    world: Town

    def __init__(self, town: Town, seed: int, source: str, receiver: Stranger) -> None:
        """`source` is the URL of a picture outside, `receiver` is told by webhooks."""
        super().__init__(town, seed, source, victims=VICTIMS)
        self.receiver = receiver
        self.people: list[User] = []
        #: secrets by the name that a webhook's URL ends with; and those webhooks: id, owner, first position
        self.secrets: dict[str, str] = {}
        self.webhooks: list[tuple[str, str, int]] = []
        self.meter = Meter(town.pids, self._standing)

    def _standing(self) -> dict[str, int]:
        """What waits, and how large the database has become."""
        found = self.world.rows(
            "SELECT (SELECT max(position) FROM log.event), pg_database_size(current_database()), "
            "(SELECT count(*) FROM vault.webhook_delivery WHERE state = 'PENDING')"
        )[0]
        names = ("events", "bytes", "webhooks to tell")
        return dict(zip(names, map(int, found), strict=True)) | self.open()

    def _gather(self) -> None:
        """Everybody comes to town before anything is killed."""
        self.world.start("actors1")
        horde = self.world.horde
        self.people = [horde.register(f"person {n}", "500") for n in range(CLIENTS - NOBODIES)]
        self.users = self.people
        for number, user in enumerate(self.people[:WITH_WEBHOOKS]):
            url = self.receiver.url(f"hook?{number}")
            made = user.api.call("createWebhook", _WEBHOOK, {"url": url})
            self.secrets[str(number)] = made["secret"]
            self.webhooks.append((made["webhook"]["id"], user.id, int(made["position"])))
        of_jobs = Outside(self.source, self.receiver.url("hook?job"), self.secrets["0"])
        self.secrets["job"] = of_jobs.secret
        self._hire()
        urls = [api.url for api in self.world.apis]
        crowd = Crowd(self.ledger, urls, self.chance.getrandbits(32))
        self.crowd = crowd  # type: ignore[assignment]  # of another make: on a loop, not on threads
        crowd.start(self.people, NOBODIES, of_jobs)
        self.meter.start()
        eventually(lambda: self.ledger.count > 5, PATIENCE, "the crowd is at work")

    def _hire(self) -> None:
        """Write each crew's plan, and start it."""
        plans: list[list[dict[str, Any]]] = [[] for _ in range(CREWS)]
        kinds = [kind for kind, count in WORKERS.items() for _ in range(count)]
        for number, kind in enumerate(kinds):
            owner = self.world.horde.register(f"owner {number}")
            address = urlsplit(self.world.apis[number % len(self.world.apis)].url)
            settings: dict[str, Any] = {
                "name": f"{kind} worker {number} of {self.world.number}",
                "url": f"{address.scheme}://{address.netloc}",
                "kind": kind,
                "amount": 1 if kind == "text" else 4,
            }
            if kind != "interrogation":
                settings["models"] = IMAGE_MODELS if kind == "image" else TEXT_MODELS
            plans[number % CREWS].append({"settings": settings, "key": owner.key})
        for number, workers in enumerate(plans):
            plan = {"notes": str(self.world.folder / f"crew{number}.notes"), "workers": workers}
            (self.world.folder / f"crew{number}.json").write_text(json.dumps(plan))
            self.world.start(f"crew{number}")

    def acknowledged(self) -> list[dict[str, Any]]:
        """What workers were told of their results."""
        lines = [
            line
            for notes in sorted(self.world.folder.glob("crew*.notes"))
            for line in notes.read_text(encoding="utf-8").split("\n")[:-1]  # the last may be cut off
        ]
        return [json.loads(line) for line in lines]

    def _wait(self) -> None:
        """Let the crowd be until the next blow, unless somebody has met a fault."""
        until = time.monotonic() + self.chance.uniform(*BETWEEN)
        while time.monotonic() < until and not self.crowd.faults:
            time.sleep(0.2)
        assert not self.crowd.faults, self.crowd.faults

    def calm(self) -> None:
        """Let clients finish and workers work off what is left; end by the clock what nobody ends; then workers leave."""
        self.crowd.close()
        for minutes in (0, 15, 75):
            self.world.set_clock(f"{minutes} minutes")
            self._settle()
            if not self.open():
                break
        eventually(lambda: not self.open(), PATIENCE, f"everything ends: {self.open()}")
        for number in range(CREWS):
            self.world.processes.pop(f"crew{number}").stop(seconds=60)
        self.meter.stop()


def seeded() -> int:
    """A seed that can be given again: HOARD_SOAK_SEED."""
    return int(os.environ.get("HOARD_SOAK_SEED") or random.randrange(10**9))
