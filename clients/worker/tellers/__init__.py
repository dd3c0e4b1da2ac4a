"""What looks at pictures. A teller gets a form and a picture and tells something of it, or makes another picture of it.

`statistics.py` reckons with plain colours and brightness, `webui.py` asks a Stable Diffusion WebUI, `local.py` runs
small models here. Forms have the API's names: what they tell is in `Telling`.
"""

from typing import Any, Protocol

import msgspec
from PIL import Image


class Telling(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a form: a picture for post-processors (PNG or WebP), for the others what it tells.

    CAPTION and DESCRIBE tell a text, NSFW a boolean, INTERROGATION keywords with their confidence from 0 to 1,
    AESTHETIC a number from 0 to 10, PALETTE a list of {"hex": "#rrggbb", "share": 0 to 1}, VECTORIZE an SVG document.
    """

    told: Any = None
    picture: bytes | None = None


class Teller(Protocol):
    """Tells of pictures, possibly of several at a time."""

    #: One plain sentence about what this backend is, shown when the worker starts.
    confession: str
    #: What it can tell or make.
    forms: tuple[str, ...]

    async def prepare(self) -> None:
        """Load what is to be loaded. Raises BackendError."""
        ...

    async def tell(self, form: str, picture: Image.Image) -> Telling:
        """Do one of `forms` for an RGB or RGBA picture. Raises BackendError; may be cancelled at any time."""
        ...

    async def close(self) -> None:
        """Give up connections."""
        ...
