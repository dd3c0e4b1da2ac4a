"""The craft of looking at pictures: interrogation jobs, by one of `tellers/`."""

import aiohttp
from PIL import Image

from clients.shapes import Assignment, WorkTask
from clients.worker import sources
from clients.worker.backends import BackendError
from clients.worker.crafts import Made
from clients.worker.offer import Offer, offer_of
from clients.worker.settings import Settings
from clients.worker.tellers import Teller


class Interrogations:
    """Looks at pictures."""

    def __init__(self, teller: Teller) -> None:
        self._teller = teller

    @property
    def confession(self) -> str:
        """What the backend says of itself."""
        return self._teller.confession

    async def prepare(self) -> None:
        """Load the models."""
        await self._teller.prepare()

    def offered(self, settings: Settings) -> Offer:
        """The forms that are wished for and can be told."""
        wanted = self._teller.forms if settings.forms is None else settings.forms
        forms = tuple(form for form in wanted if form in self._teller.forms)
        return offer_of(settings, "interrogation", forms, {"maxTiles": settings.max_tiles})

    def beyond(self, settings: Settings) -> tuple[str, ...]:
        """Forms that the backend cannot tell."""
        return tuple(form for form in settings.forms or () if form not in self._teller.forms)

    async def fetch(
        self, session: aiohttp.ClientSession, assignment: Assignment, limits: sources.Limits
    ) -> Image.Image:
        """The picture to look at."""
        return await sources.fetch_picture(session, assignment.source_image_url, limits)

    async def make(self, assignment: Assignment, task: WorkTask, start: Image.Image) -> Made:
        """Tell one form of it, or make another picture of it."""
        del assignment
        if task.form not in self._teller.forms:
            raise BackendError("a form that was not offered was asked for")
        telling = await self._teller.tell(task.form, start)
        return Made(picture=telling.picture, form=telling.told)

    async def close(self) -> None:
        """Give up the backend's connections."""
        await self._teller.close()
