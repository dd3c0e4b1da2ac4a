"""The craft of drawing: image jobs, by one of `backends/`."""

import aiohttp

from clients.shapes import Assignment, WorkTask
from clients.worker import sources
from clients.worker.backends import Backend, Sources, Task, Wish
from clients.worker.crafts import Made
from clients.worker.offer import Offer, offer_of, unusual
from clients.worker.settings import Settings

#: The API's own value of `features`.
USUAL_FEATURES = frozenset({"HIRES_FIX", "TILING", "CLIP_SKIP"})


class Images:
    """Draws."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @property
    def confession(self) -> str:
        """What the backend says of itself."""
        return self._backend.confession

    async def prepare(self) -> None:
        """These backends are ready, or tell with the first picture that they are not."""

    def offered(self, settings: Settings) -> Offer:
        """What is drawn, as far as the backend can."""
        can = self._backend.abilities
        features = can.features if settings.features is None else can.features & frozenset(settings.features)
        capabilities = {
            "maxPixels": settings.max_pixels,
            "allowPostProcessing": settings.post_processing and can.post_processing,
        } | unusual(
            {
                "allowImg2img": (settings.img2img and can.img2img, True),
                "allowPainting": (settings.painting and can.painting, True),
                "allowLora": (settings.lora and can.lora, False),
                "allowControlnet": (settings.controlnet and can.controlnet, False),
                "allowSdxlControlnet": (settings.sdxl_controlnet and can.controlnet, False),
                "features": (sorted(features), sorted(USUAL_FEATURES)),
                "limitMaxSteps": (settings.limit_max_steps, False),
            }
        )
        return offer_of(settings, "image", settings.models or can.models, capabilities)

    def beyond(self, settings: Settings) -> tuple[str, ...]:
        """LoRAs, ControlNet and features that the backend lacks."""
        can = self._backend.abilities
        wanted = (("lora", can.lora), ("controlnet", can.controlnet), ("sdxl_controlnet", can.controlnet))
        more = [name for name, able in wanted if getattr(settings, name) and not able]
        if settings.features is not None:
            more += sorted(set(settings.features) - can.features)
        return tuple(more)

    async def fetch(
        self, session: aiohttp.ClientSession, assignment: Assignment, limits: sources.Limits
    ) -> Sources | None:
        """The picture and the mask to start from, if any."""
        return await sources.fetch(session, assignment, limits)

    async def make(self, assignment: Assignment, task: WorkTask, start: Sources | None) -> Made:
        """Draw one picture."""
        wish = Wish.parse(assignment.payload)
        picture = await self._backend.generate(
            Task(
                generation_id=task.id,
                model=assignment.model or "",
                seed=task.seed or "",
                wish=wish,
                sources=start,
            )
        )
        return Made(picture=picture.body, seed=picture.seed, censored=picture.censored)

    async def close(self) -> None:
        """Give up the backend's connections."""
        await self._backend.close()
