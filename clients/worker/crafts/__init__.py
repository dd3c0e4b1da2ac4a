"""What a worker of each kind does with a lease. Whatever kinds share is outside: see `loop.py` and `lease.py`.

A craft says what is offered, fetches what a lease's work starts from, and makes one piece of it with its backend:
`images.py` draws (`backends/`), `texts.py` writes (`writers/`), `interrogations.py` looks at pictures (`tellers/`).
"""

from typing import Any, Protocol, TypeVar

import aiohttp
import msgspec

from clients.shapes import Assignment, WorkTask
from clients.worker.offer import Offer
from clients.worker.settings import Settings
from clients.worker.sources import Limits


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A finished piece of work: a picture to upload, a text, or what a form told.

    `seed` is the one that was used; `censored` says that the picture was blanked out as not safe.
    """

    picture: bytes | None = None
    text: str | None = None
    form: Any = None
    seed: str | None = None
    censored: bool = False


#: What a lease's work starts from.
Start = TypeVar("Start")


class Craft(Protocol[Start]):
    """What one kind of worker does."""

    #: One plain sentence about what the backend is, shown when the worker starts.
    @property
    def confession(self) -> str:
        """Who really does the work."""
        ...

    async def prepare(self) -> None:
        """Make the backend ready, before anything is offered. Raises BackendError."""
        ...

    def offered(self, settings: Settings) -> Offer:
        """What a worker with these settings offers."""
        ...

    def beyond(self, settings: Settings) -> tuple[str, ...]:
        """The settings that ask for more than the backend can, by their names."""
        ...

    async def fetch(self, session: aiohttp.ClientSession, assignment: Assignment, limits: Limits) -> Start:
        """What the work of this lease starts from. Raises SourceError."""
        ...

    async def make(self, assignment: Assignment, task: WorkTask, start: Start) -> Made:
        """Do one piece of work. Raises BackendError; may be cancelled at any time."""
        ...

    async def close(self) -> None:
        """Give up connections."""
        ...
