"""Places for work under way: as many as there are threads, which may change at any time. First come, first served."""

import asyncio
from collections import deque
from typing import Self


class Slots:
    """A semaphore whose size can be changed. Use it as an async context manager, as often as there are tasks."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._waiting: deque[asyncio.Future[None]] = deque()
        #: Places taken now; more than the size for a while after it was lowered.
        self.busy = 0

    def resize(self, size: int) -> None:
        """Have so many places from now on; who has one keeps it."""
        self._size = size
        self._admit()

    async def __aenter__(self) -> Self:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self._leave()

    def _leave(self) -> None:
        self.busy -= 1
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self.busy < self._size:
            turn = self._waiting.popleft()
            if not turn.cancelled():
                self.busy += 1
                turn.set_result(None)
