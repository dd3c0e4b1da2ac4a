"""The craft of writing: text jobs, by one of `writers/`."""

import aiohttp

from clients.shapes import Assignment, WorkTask
from clients.worker.crafts import Made
from clients.worker.offer import Offer, offer_of
from clients.worker.settings import Settings
from clients.worker.sources import Limits
from clients.worker.writers import TextTask, TextWish, Writer
from clients.worker.writers.formatting import formatted


class Texts:
    """Writes."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    @property
    def confession(self) -> str:
        """What the backend says of itself."""
        return self._writer.confession

    async def prepare(self) -> None:
        """Load the model, or learn what the server has."""
        await self._writer.prepare()

    def offered(self, settings: Settings) -> Offer:
        """The models, and how much of a text is read and written."""
        capabilities = {
            "maxLength": min(settings.max_length, self._writer.longest),
            "maxContextLength": min(settings.max_context_length, self._writer.widest),
        }
        return offer_of(settings, "text", settings.models or self._writer.models, capabilities)

    def beyond(self, settings: Settings) -> tuple[str, ...]:
        """Lengths that the backend cannot do."""
        wanted = (("max_length", self._writer.longest), ("max_context_length", self._writer.widest))
        return tuple(name for name, most in wanted if getattr(settings, name) > most)

    async def fetch(self, session: aiohttp.ClientSession, assignment: Assignment, limits: Limits) -> None:
        """A text starts from its prompt alone."""
        del session, assignment, limits

    async def make(self, assignment: Assignment, task: WorkTask, start: None) -> Made:
        """Write one text, laid out as its requester wants it."""
        del start
        wish = TextWish.parse(assignment.payload)
        text = await self._writer.write(
            TextTask(generation_id=task.id, model=assignment.model or "", seed=task.seed or "", wish=wish)
        )
        return Made(text=formatted(text, wish), seed=task.seed)

    async def close(self) -> None:
        """Give up the backend's connections."""
        await self._writer.close()
