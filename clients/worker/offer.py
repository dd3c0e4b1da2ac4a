"""What the worker offers in a poll: what its settings wish for, as far as its backend can do it.

What does not differ from the API's own default is not sent, so that a server that lacks it still serves this worker.
"""

from typing import Any

import msgspec

from clients import VERSION
from clients.worker.backends import Abilities
from clients.worker.settings import Settings

#: The API's own value of `features`.
USUAL_FEATURES = frozenset({"HIRES_FIX", "TILING", "CLIP_SKIP"})


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """What this worker is called, what it is willing and able to do, and how much at a time."""

    name: str
    models: tuple[str, ...]
    max_pixels: int
    nsfw: bool = True
    blacklist: tuple[str, ...] = ()
    post_processing: bool = True
    #: Pictures drawn at a time, leases taken ahead of them, and generations asked for in each.
    threads: int = 1
    queue_ahead: int = 0
    amount: int = 1
    #: Seconds that a poll waits for a job.
    wait_seconds: int = 0
    img2img: bool = True
    painting: bool = True
    lora: bool = False
    controlnet: bool = False
    sdxl_controlnet: bool = False
    features: frozenset[str] = USUAL_FEATURES
    unsafe_addresses: bool = True
    trusted_requesters_only: bool = False
    require_upfront_kudos: bool = False
    limit_max_steps: bool = False
    extra_slow: bool = False
    priority_users: tuple[str, ...] = ()
    test_mode: bool = False

    def as_input(self) -> dict[str, Any]:
        """The `PopJobInput`, without its key."""
        image = {
            "models": list(self.models),
            "maxPixels": self.max_pixels,
            "nsfw": self.nsfw,
            "blacklist": list(self.blacklist),
            "allowPostProcessing": self.post_processing,
            "threads": self.threads,
        }
        return {
            "workerName": self.name,
            "bridgeAgent": f"hoard-worker:{VERSION}:unknown",
            "amount": self.amount,
            "waitSeconds": self.wait_seconds,
            "image": image | self._unusual(),
        }

    def _unusual(self) -> dict[str, Any]:
        """The capabilities that differ from the API's defaults."""
        inputs = {
            "allowImg2img": (self.img2img, True),
            "allowPainting": (self.painting, True),
            "allowLora": (self.lora, False),
            "allowControlnet": (self.controlnet, False),
            "allowSdxlControlnet": (self.sdxl_controlnet, False),
            "features": (sorted(self.features), sorted(USUAL_FEATURES)),
            "allowUnsafeAddress": (self.unsafe_addresses, True),
            "trustedRequestersOnly": (self.trusted_requesters_only, False),
            "requireUpfrontKudos": (self.require_upfront_kudos, False),
            "limitMaxSteps": (self.limit_max_steps, False),
            "extraSlow": (self.extra_slow, False),
            "priorityUsers": (list(self.priority_users), []),
            "testMode": (self.test_mode, False),
        }
        return {name: value for name, (value, usual) in inputs.items() if value != usual}


def offered(settings: Settings, can: Abilities) -> Offer:
    """The offer of a worker with these settings and a backend that can do this."""
    features = can.features if settings.features is None else can.features & frozenset(settings.features)
    return Offer(
        name=settings.name,
        models=settings.models or can.models,
        max_pixels=settings.max_pixels,
        nsfw=settings.nsfw,
        blacklist=settings.blacklist,
        post_processing=settings.post_processing and can.post_processing,
        threads=settings.threads,
        queue_ahead=settings.queue_ahead,
        amount=settings.amount,
        wait_seconds=settings.wait_seconds,
        img2img=settings.img2img and can.img2img,
        painting=settings.painting and can.painting,
        lora=settings.lora and can.lora,
        controlnet=settings.controlnet and can.controlnet,
        sdxl_controlnet=settings.sdxl_controlnet and can.controlnet,
        features=features,
        unsafe_addresses=settings.unsafe_addresses,
        trusted_requesters_only=settings.trusted_requesters_only,
        require_upfront_kudos=settings.require_upfront_kudos,
        limit_max_steps=settings.limit_max_steps,
        extra_slow=settings.extra_slow,
        priority_users=settings.priority_users,
        test_mode=settings.test_mode,
    )


def beyond(settings: Settings, can: Abilities) -> tuple[str, ...]:
    """The settings that ask for more than the backend can, by their names."""
    wanted = (("lora", can.lora), ("controlnet", can.controlnet), ("sdxl_controlnet", can.controlnet))
    more = [name for name, able in wanted if getattr(settings, name) and not able]
    if settings.features is not None:
        more += sorted(set(settings.features) - can.features)
    return tuple(more)
