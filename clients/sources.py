"""Sources of a job: a file is uploaded first, a link is handed on for the server to fetch."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp

from clients import documents
from clients.api import Api, RefusedError
from clients.shapes import Uploading, shaped

UPLOAD_SECONDS = 120


async def with_sources(api: Api, wish: Mapping[str, Any], sources: Mapping[str, str]) -> dict[str, Any]:
    """The wish with its sources, by the input's fields `source` and `sourceMask`: files or links.

    Raises RefusedError if a file cannot be read or is not taken, or as `Api.mutate` does.
    """
    if not sources:
        return dict(wish)
    found = {field: await _given(api, field, where) for field, where in sources.items()}
    usual = {"sourceProcessing": "INPAINTING"} if "sourceMask" in sources else {}
    return {**usual, **wish, **found}


async def _given(api: Api, field: str, where: str) -> dict[str, str]:
    """A `SourceImageInput`."""
    if "://" in where:
        return {"url": where}
    try:
        body = await asyncio.to_thread(Path(where).read_bytes)
    except OSError as error:
        raise RefusedError("NO_FILE", f"{where}: {error.strerror}", (field,)) from error
    answer = await api.mutate(documents.CREATE_UPLOAD, {"contentLength": len(body)}, "createUpload")
    upload = shaped(answer, Uploading).upload
    await _put(upload.url, body, field)
    return {"uploadId": upload.id}


async def _put(url: str, body: bytes, field: str) -> None:
    """Bring the file. Its link allows no Content-Type, which the signature does not cover."""
    limit = aiohttp.ClientTimeout(total=UPLOAD_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=limit) as session,
            session.put(url, data=body, skip_auto_headers={"Content-Type"}, allow_redirects=False) as answer,
        ):
            status = answer.status
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise RefusedError(
            "NOT_UPLOADED", f"no connection to the storage ({type(error).__name__})", (field,)
        ) from error
    if status >= 300:
        raise RefusedError("NOT_UPLOADED", f"the storage answered {status}", (field,))
