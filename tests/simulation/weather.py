"""What goes wrong: each seed draws which faults there are and how often they come, so that seeds differ in kind."""

from __future__ import annotations

from collections.abc import Callable

from tests.simulation import statements
from tests.simulation.cluster import Cluster, Node
from tests.simulation.people import People

#: chance that a seed has a kind of fault at all
HAS = 0.4
#: mean seconds between two faults of a kind
EVERY = (0.08, 0.3, 1.0)


class Weather:
    """The faults of one seed."""

    def __init__(self, cluster: Cluster, people: People, certain: frozenset[str]) -> None:
        """`certain` names kinds of faults, or programs, that are not left to chance."""
        self.cluster = cluster
        self.people = people
        self.scheduler = cluster.scheduler
        self.dice = cluster.scheduler.dice
        self.over = False
        self._certain = certain
        parts = {
            "all": cluster.nodes,
            "apis": cluster.apis,
            "relays": cluster.relays,
            "actors": cluster.actors,
        }
        drawn = self.dice.choice(("all", "apis", "relays", "actors"))
        #: the programs that this seed's faults hit
        self.victims: list[Node] = list(parts[next((name for name in parts if name in certain), drawn)])

    def come(self) -> None:
        """Draw the faults and begin."""
        dice, network, broker = self.dice, self.cluster.network, self.cluster.broker
        for place, name, rates in (
            (network, "lost", (0.005, 0.03)),
            (network, "unanswered", (0.005, 0.03)),
            (network, "late", (0.005, 0.03)),
            (network, "slow", (0.01, 0.1)),
            (network, "silent", (0.2, 0.8)),
            (broker, "twice", (0.05, 0.4)),
            (broker, "delayed", (0.05, 0.4)),
            (broker, "vanish", (0.05, 0.4)),
            (self.cluster.storage, "failing", (0.02, 0.2)),
            (self.people, "doubling", (0.1, 0.4)),
            (self.people, "lateness", (0.2, 0.5)),
        ):
            if self._has(name):
                setattr(place, name, dice.choice(rates))
        self.people.pause = dice.choice((0.03, 0.08, 0.3))
        faults: tuple[tuple[str, Callable[[], None]], ...] = (
            ("kill", self._kill),
            ("stall", self._stall),
            ("session", self._end_session),
            ("holder", self._end_holder),
            ("database", self._restart_database),
            ("wipe", self.cluster.broker.lose_everything),
            ("away", self._broker_away),
            ("forward", self._clock_forward),
            ("backward", self._clock_backward),
            ("advisory", self._lose_leadership),
        )
        for name, fault in faults:
            if self._has(name):
                every = dice.choice(EVERY)
                self.cluster.spawn(f"fault-{name}", lambda fault=fault, every=every: self._rain(fault, every))

    def end(self) -> None:
        """Nothing goes wrong any more, and everything runs."""
        self.over = True
        network, broker = self.cluster.network, self.cluster.broker
        network.lost = network.unanswered = network.late = network.slow = network.silent = 0.0
        broker.twice = broker.delayed = broker.vanish = 0.0
        self.cluster.storage.failing = self.people.doubling = 0.0
        for node in self.cluster.nodes:
            node.process.still_until = 0.0
            if not node.process.alive:
                node.start()

    def _has(self, name: str) -> bool:
        return self.dice.random() < HAS or name in self._certain

    def _rain(self, fault: Callable[[], None], every: float) -> None:
        while True:
            self.scheduler.sleep(self.dice.expovariate(1 / every))
            if self.over:
                return
            fault()

    def _kill(self) -> None:
        node = self.dice.choice(self.victims)
        if node.process.alive:
            node.kill()
            self.cluster.spawn("restart", lambda: self._start_again(node))

    def _start_again(self, node: Node) -> None:
        self.scheduler.sleep(self.dice.uniform(0.05, 1.0))
        if not node.process.alive:
            node.start()

    def _stall(self) -> None:
        """A process stands still, as if its machine did: for longer than any lock or lease of leadership."""
        node = self._wait_for_holder() if self.dice.random() < 0.5 else self.dice.choice(self.victims)
        node.process.still_until = self.scheduler.now + self.dice.choice((0.2, 2.0, 7.0))
        self.scheduler.note(f"stands still until {node.process.still_until:.3f}", node.process.name)

    def _wait_for_holder(self) -> Node:
        """A program whose writer holds the lock, as soon as there is one."""
        for _ in range(200):
            holder = self.cluster.server.locks.holder(statements.LOCK)
            if holder is not None:
                return next(n for n in self.cluster.nodes if holder.name.startswith(f"{n.name}."))
            self.scheduler.sleep(0.002)
        return self.dice.choice(self.victims)

    def _end_session(self) -> None:
        names = tuple(node.process.name for node in self.victims)
        sessions = [s for s in self.cluster.server.sessions.values() if s.name.startswith(names)]
        if sessions:
            self.dice.choice(sessions).terminate("an operator ended it")

    def _end_holder(self) -> None:
        """Whoever holds the writer's lock now, or next."""
        for _ in range(200):
            holder = self.cluster.server.locks.holder(statements.LOCK)
            if holder is not None:
                holder.terminate("it was ended while it held the lock")
                return
            self.scheduler.sleep(0.002)

    def _restart_database(self) -> None:
        self.cluster.server.restart(self.dice.choice((0.1, 1.0, 4.0, 25.0)))

    def _broker_away(self) -> None:
        self.cluster.broker.away_until = self.scheduler.now + self.dice.choice((0.5, 3.0))

    def _clock_forward(self) -> None:
        """Leases lapse, jobs grow old."""
        self._shift(self.dice.choice((1.0, 100.0, 200.0, 1_300.0)))

    def _clock_backward(self) -> None:
        self._shift(-self.dice.choice((0.01, 1.0, 60.0)))

    def _shift(self, seconds: float) -> None:
        self.cluster.server.ahead += seconds
        self.scheduler.note(f"clock moves by {seconds} s", "db")

    def _lose_leadership(self) -> None:
        """As behind a pooler that gives another session to a client: its lock is gone and it does not know."""
        server = self.cluster.server
        for session in list(server.sessions.values()):
            lost = [n for n in session.session_locks if isinstance(n, tuple) and isinstance(n[1][0], int)]
            if lost:
                session.session_locks.difference_update(lost)
                server.locks.release(session, lost)
                self.scheduler.note("lost its session lock", session.name)
