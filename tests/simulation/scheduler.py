"""Tasks, processes and time: one task runs at a time, the next one is chosen by the seed, time passes only in waits.

A task is a greenlet, so that real code which blocks runs as it is. A process is a set of tasks that dies, or stands
still, as one.
"""

from __future__ import annotations

import hashlib
import heapq
import random
from collections.abc import Callable
from typing import Any

import greenlet

Line = tuple[float, str, str]


class Killed(greenlet.GreenletExit):
    """The task's process was killed."""


class Failure(AssertionError):
    """Something that must never be was seen."""


class Process:
    """Tasks that live and die together."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.tasks: set[Task] = set()
        #: the process stands still until then, as under a debugger or in a stalled virtual machine
        self.still_until = 0.0
        #: called once when it is killed, before its tasks end
        self.at_death: list[Callable[[], None]] = []


class Task:
    """One thread of a process."""

    __slots__ = ("done", "green", "name", "process", "token", "woken")

    def __init__(self, process: Process, name: str) -> None:
        self.process = process
        self.name = name
        #: counts waits, so that a late wake-up is not taken for another wait's
        self.token = 0
        self.woken = False
        self.done = False
        self.green: Any = None

    def __lt__(self, other: object) -> bool:
        return False

    def __str__(self) -> str:
        return f"{self.process.name}/{self.name}"


class Scheduler:
    """Runs tasks by simulated time."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.now = 0.0
        self.lines: list[Line] = []
        self.current: Task | None = None
        self._hub = greenlet.getcurrent()
        self._heap: list[tuple[float, float, int, Any, int]] = []
        self._sequence = 0
        self._failure: BaseException | None = None

    def note(self, what: str, who: str | None = None) -> None:
        """Put a line into the history."""
        self.lines.append((self.now, who or str(self.current or "-"), what))

    def trace_hash(self) -> str:
        """One hash over the whole history."""
        text = "\n".join(f"{at:.6f} {who} {what}" for at, who, what in self.lines)
        return hashlib.sha256(text.encode()).hexdigest()

    def spawn(self, process: Process, name: str, work: Callable[[], None]) -> Task:
        """Start a task."""
        task = Task(process, name)
        task.green = greenlet.greenlet(lambda: self._main(task, work), parent=self._hub)
        process.tasks.add(task)
        self._push(self.now, task, task.token)
        return task

    def at(self, delay: float, call: Callable[[], None]) -> None:
        """Have something done later; it must not wait."""
        self._push(self.now + delay, call, 0)

    def sleep(self, seconds: float) -> None:
        """Let time pass for the current task."""
        self.block(seconds)

    def block(self, timeout: float | None = None) -> bool:
        """Wait to be woken; False if the timeout came first."""
        task = self.current
        assert task is not None, "only tasks wait"
        if not task.process.alive:
            raise Killed
        task.token += 1
        task.woken = False
        if timeout is not None:
            self._push(self.now + timeout, task, task.token)
        self._hub.switch()
        return task.woken

    def wake(self, task: Task) -> None:
        """End a task's wait now: at once if no task runs, else as soon as the current one waits."""
        if task.done or task.woken:
            return
        task.woken = True
        if self.current is None:
            self._resume(task, task.token)
        else:
            self._push(self.now, task, task.token)

    def kill(self, process: Process) -> None:
        """End all tasks of a process where they stand."""
        if not process.alive:
            return
        process.alive = False
        for call in process.at_death:
            call()
        for task in sorted(process.tasks, key=lambda task: task.name):
            self.end(task)
        process.tasks.clear()

    def end(self, task: Task) -> None:
        """End one task where it stands (not the current one)."""
        if not task.done:
            task.done = True
            before, self.current = self.current, task
            parent = task.green.parent
            task.green.parent = greenlet.getcurrent()
            try:
                task.green.throw(Killed)
            finally:
                self.current = before
                if not task.green.dead:
                    task.green.parent = parent

    def run(self, until: float, stop: Callable[[], bool] | None = None) -> None:
        """Let everything happen until an instant. Raises what a task raised."""
        heap = self._heap
        while heap and heap[0][0] <= until:
            at, _, _, what, token = heapq.heappop(heap)
            self.now = max(self.now, at)
            if isinstance(what, Task):
                self._resume(what, token)
            else:
                what()
            if self._failure is not None:
                raise self._failure
            if stop is not None and stop():
                return
        self.now = max(self.now, until)

    def fail(self, failure: Failure) -> None:
        """The run ends here: whoever found it may be caught by what it is in."""
        self._failure = failure

    def _resume(self, task: Task, token: int) -> None:
        if task.done or token != task.token:
            return
        if task.process.still_until > self.now:
            self._push(task.process.still_until, task, token)
            return
        self.current = task
        task.green.switch()
        self.current = None

    def _main(self, task: Task, work: Callable[[], None]) -> None:
        try:
            work()
        except Killed:
            pass
        except BaseException as error:  # noqa: BLE001 - a thread that dies is a fault of the programs
            self._failure = error
        task.done = True
        task.process.tasks.discard(task)

    def _push(self, at: float, what: Any, token: int) -> None:
        self._sequence += 1
        heapq.heappush(self._heap, (at, self.dice.random(), self._sequence, what, token))
