"""What comes back from other programs, as the WebP that is delivered."""

import io

from PIL import Image

from clients.worker.backends import BackendError

WEBP_QUALITY = 90


def webp(raw: bytes) -> bytes:
    """The image as WebP. What a program wrote into its file (prompts, paths) does not come along.

    Raises BackendError if it is no image.
    """
    try:
        with Image.open(io.BytesIO(raw)) as opened:
            picture = opened.convert("RGB")
    except (OSError, ValueError, SyntaxError) as error:
        raise BackendError("what was answered is no image") from error
    body = io.BytesIO()
    picture.save(body, "WEBP", quality=WEBP_QUALITY, exif=b"", xmp=b"")
    return body.getvalue()
