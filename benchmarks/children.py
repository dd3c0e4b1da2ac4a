"""A function in a process of its own: load must not share a processor's time slices, or a lock, with the server.

The child ends with its function, or with its parent. Look next: `benchmarks.load` for functions that are run so.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Generic, Self, TypeVar

from app.embedded.launch import die_with_parent
from benchmarks.machine import peak_memory

R = TypeVar("R")
#: seconds after which a child that has not answered is ended
PATIENCE = 900.0

#: called by the function in the child, once everything is ready and the clock may run
Ready = Callable[[], None]


class ChildError(Exception):
    """A child ended without an answer; its traceback is on the terminal."""


@dataclass(frozen=True)
class Answer(Generic[R]):
    """What the function returned and what its process used: CPU in seconds, memory at its peak in bytes."""

    value: R
    cpu: float
    memory: int


class Child(Generic[R]):
    """A running function; use as a context manager, which ends it."""

    def __init__(self, function: Callable[..., R], *arguments: Any) -> None:
        """Start `function(ready, *arguments)`; all of it must be picklable."""
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(
            target=_run, args=(os.getpid(), theirs, function, arguments), daemon=True
        )
        self._process.start()
        theirs.close()

    def ready(self) -> None:
        """Wait until the function says so. Raises `ChildError`."""
        self._receive()

    def answer(self) -> Answer[R]:
        """Wait for the end of the function. Raises `ChildError`."""
        answer = self._receive()
        while not isinstance(answer, Answer):
            answer = self._receive()
        return answer

    def alive(self) -> bool:
        """Whether its process runs."""
        return self._process.is_alive()

    def end(self) -> Answer[R]:
        """Tell a function that goes on until SIGTERM that this is it. Raises `ChildError`."""
        self._process.terminate()
        return self.answer()

    def _receive(self) -> Any:
        if not self._connection.poll(PATIENCE):
            message = f"no answer in {PATIENCE:.0f} s"
            raise ChildError(message)
        try:
            return self._connection.recv()
        except EOFError:
            message = "it ended without an answer"
            raise ChildError(message) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.join(10.0)
        self._connection.close()


def run(function: Callable[..., R], *arguments: Any) -> Answer[R]:
    """A function to its end. Raises `ChildError`."""
    with Child(function, *arguments) as child:
        return child.answer()


def _run(
    parent: int, connection: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what a Ctrl-C ends
    die_with_parent(parent, signal.SIGKILL)
    before = time.process_time()

    def ready() -> None:
        nonlocal before
        before = time.process_time()
        connection.send(None)

    value = function(ready, *arguments)
    connection.send(Answer(value, time.process_time() - before, peak_memory()))
