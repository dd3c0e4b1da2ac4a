"""What a picture starts from: fetched within limits, made plain, masked by transparency where there is no mask."""

import asyncio
import io

import aiohttp
import pytest
from PIL import Image

from clients.shapes import Assignment, shaped
from clients.worker import sources
from clients.worker.sources import Limits, SourceError
from tests.unit.clients.stand_in import standing_in

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
async def server():
    async with standing_in() as server:
        yield server


def png(mode: str = "RGB", size: tuple[int, int] = (64, 32), colour=(10, 20, 30)) -> bytes:
    body = io.BytesIO()
    Image.new(mode, size, colour).save(body, "PNG")
    return body.getvalue()


def assignment(server, processing: str = "img2img", *, mask: bool = False) -> Assignment:
    given = server.assignment() | {
        "sourceProcessing": processing,
        "sourceImageUrl": f"{server.url}/store/source",
        "sourceMaskUrl": f"{server.url}/store/mask" if mask else None,
    }
    return shaped(given, Assignment)


async def fetched(given: Assignment, **limits):
    async with aiohttp.ClientSession() as session:
        return await sources.fetch(session, given, Limits(**limits))


async def refused(given: Assignment, **limits) -> tuple[str, str]:
    with pytest.raises(SourceError) as error:
        await fetched(given, **limits)
    return error.value.role, error.value.value


async def test_a_job_without_a_source_starts_from_nothing(server):
    assert await fetched(shaped(server.assignment(), Assignment)) is None


async def test_a_source_becomes_a_plain_png(server):
    server.pictures["source"] = png()
    found = await fetched(assignment(server))
    assert (found.processing, found.mask) == ("img2img", None)
    with Image.open(io.BytesIO(found.image)) as image:
        assert (image.format, image.mode, image.size) == ("PNG", "RGB", (64, 32))


async def test_a_mask_gets_the_size_of_its_picture(server):
    server.pictures.update(source=png(), mask=png("L", (8, 8), 255))
    found = await fetched(assignment(server, "INPAINTING", mask=True))
    with Image.open(io.BytesIO(found.mask)) as mask:
        assert (mask.mode, mask.size, mask.getextrema()) == ("L", (64, 32), (255, 255))


async def test_without_a_mask_what_is_transparent_is_painted(server):
    image = Image.new("RGBA", (4, 4), (1, 2, 3, 255))
    image.putpixel((0, 0), (0, 0, 0, 0))
    body = io.BytesIO()
    image.save(body, "PNG")
    server.pictures["source"] = body.getvalue()
    found = await fetched(assignment(server, "inpainting"))
    with Image.open(io.BytesIO(found.mask)) as mask:
        assert (mask.getpixel((0, 0)), mask.getpixel((1, 1))) == (255, 0)


async def test_what_cannot_be_had_is_told_by_role_and_kind(server):
    assert await refused(assignment(server)) == ("source_image", "download_failed")
    server.pictures["source"] = b"no image"
    assert await refused(assignment(server)) == ("source_image", "parse_failed")
    server.pictures["source"] = png()
    assert await refused(assignment(server, mask=True)) == ("source_mask", "download_failed")
    assert await refused(assignment(server, "inpainting")) == ("source_mask", "parse_failed")
    assert await refused(assignment(server), size=10) == ("source_image", "download_failed")


async def test_an_image_of_too_many_pixels_is_not_decoded(server, monkeypatch):
    monkeypatch.setattr(sources, "LARGEST_PIXELS", 100)
    server.pictures["source"] = png()
    assert await refused(assignment(server)) == ("source_image", "parse_failed")


async def test_a_storage_that_is_away_for_a_moment_is_asked_again():
    away = b"HTTP/1.1 503 Away\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    says = [b"", away]
    good = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(png()) + png()
    asked = []

    async def shaky(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        asked.append(1)
        writer.write(says.pop(0) if says else good)
        await writer.drain()
        writer.close()

    listening = await asyncio.start_server(shaky, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/x"
    async with aiohttp.ClientSession() as session:
        assert (await sources.fetch_picture(session, url, Limits())).size == (64, 32)
        says.append(away)
        with pytest.raises(SourceError):
            await sources.fetch_picture(session, url, Limits(seconds=0.1))
    assert len(asked) == 4
    listening.close()


async def test_a_storage_that_does_not_answer_is_not_waited_for_for_ever():
    async def silent(reader, writer):
        await reader.read()  # until the one who asks hangs up
        writer.close()
        hung_up.set()

    hung_up = asyncio.Event()

    listening = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    async with standing_in() as server:
        given = assignment(server)
    away = shaped(
        {
            "leaseId": given.lease_id,
            "jobId": given.job_id,
            "expiresAt": given.expires_at,
            "kind": given.kind,
            "model": given.model,
            "payload": {},
            "generations": [],
            "sourceImageUrl": f"http://127.0.0.1:{port}/x",
        },
        Assignment,
    )
    assert await refused(away, seconds=0.1) == ("source_image", "download_failed")
    await asyncio.wait_for(hung_up.wait(), 5)
    listening.close()
