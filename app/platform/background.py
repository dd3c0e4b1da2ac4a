"""Work that a process does now and then on a thread of its own, with what it loads for that loaded only then.

Whatever fails is logged by its class and begun anew at the next look: the thread outlives anything. Look next:
`app.actors_main`, `app.datasets.librarian`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final, Protocol

_log = logging.getLogger(__name__)

#: seconds that `stop` waits for what is under way, which is done again if it must be
_STOP_SECONDS: Final = 2.0


class Steps(Protocol):
    """What is done, step by step."""

    def step(self) -> object:
        """Do what is due."""

    def close(self) -> None:
        """Close what is open; the next step opens it again."""


class Background:
    """A thread. `start` it once; it works until `stop`."""

    def __init__(self, name: str, seconds: float, make: Callable[[], Steps]) -> None:
        """Name the thread and the seconds before each step. `make` is called before the first one, by the thread."""
        self._name = name
        self._seconds = seconds
        self._make = make
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread, and wait for it a while."""
        self._stop.set()
        self._thread.join(_STOP_SECONDS)

    def _run(self) -> None:
        steps: Steps | None = None
        while not self._stop.wait(self._seconds):
            try:
                steps = steps or self._make()
                steps.step()
            except Exception as error:  # a bug, or a server that is away  # noqa: BLE001
                _log.warning("step_failed", extra={"of": self._name, "reason": type(error).__name__})
                if steps is not None:
                    steps.close()
        if steps is not None:
            steps.close()
