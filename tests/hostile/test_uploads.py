"""Uploads that are no pictures, more than pictures, or other pictures later: never published, never shown."""

import functools
import hashlib
import io
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from app.platform.objects import ObjectStore
from app.platform.settings import Settings
from tests.acceptance.horde import Horde, Submitted, User, picture, refused, transfer, upload
from tests.acceptance.processes import eventually

MEGABYTE = 1024 * 1024


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack("!I", len(data)) + kind + data + struct.pack("!I", zlib.crc32(kind + data))


def png(width: int, height: int, pixels: bytes, *more: bytes) -> bytes:
    """A PNG file whose header says what we want."""
    start = chunk(b"IHDR", struct.pack("!IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + start + b"".join(more) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def zipped() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("payload.txt", b"hidden-payload" * 100)
    return made.getvalue()


@functools.cache
def bomb() -> bytes:
    return zlib.compress(bytes(200 * MEGABYTE), 9)


#: what passes the look at its first bytes, and why it must not be shared
WITHHELD: dict[str, tuple[Callable[[], bytes], str]] = {
    "only a beginning": (lambda: b"\x89PNG\r\n\x1a\n", "DECODE_FAILED"),
    "cut short": (lambda: picture(kind="PNG")[:-500], "DECODE_FAILED"),
    "cut short WebP": (lambda: picture()[:-200], "DECODE_FAILED"),
    "noise with a beginning": (
        lambda: b"\xff\xd8\xff" + hashlib.sha512(b"x").digest() * 500,
        "DECODE_FAILED",
    ),
    "a header of 4 gigapixels": (lambda: png(65_535, 65_535, zlib.compress(b"")), "TOO_LARGE"),
    "a header of 2 ** 62 pixels": (lambda: png(2**31 - 1, 2**31 - 1, zlib.compress(b"")), ""),
    "a header of no pixels": (lambda: png(0, 0, zlib.compress(b"")), ""),
    "a text that unpacks to 200 MB": (
        lambda: png(512, 512, b"", chunk(b"zTXt", b"a\0\0" + bomb()), chunk(b"iCCP", b"a\0\0" + bomb())),
        "DECODE_FAILED",
    ),
    "half a million chunks": (
        lambda: png(512, 512, b"", *[chunk(b"tEXt", b"a\0b")] * 500_000),
        "DECODE_FAILED",
    ),
    "another size": (lambda: picture(1024, 1024), "WRONG_SIZE"),
}


def shared_job(horde: Horde, bob: User, model: str) -> tuple[Submitted, Any, dict[str, Any]]:
    """A job to be shared, its worker and the assignment."""
    assert horde.bank is not None
    job = horde.bank.submit(models=[model], share=True)
    worker = bob.worker(model)
    return job, worker, worker.take()


def verdict(job: Submitted) -> dict[str, Any]:
    """The generation once the sharing actor has spoken."""

    def settled() -> dict[str, Any] | None:
        (generation,) = job.now()["generations"]
        return generation if generation["sha256"] or generation["withheld"] else None

    found = eventually(settled, 60, "a verdict")
    assert found is not None
    return found


def deliver(worker: Any, taken: dict[str, Any], data: bytes) -> dict[str, Any]:
    (task,) = taken["generations"]
    upload(task, data)
    worker.report(taken["leaseId"], {"generationId": task["id"], "state": "OK"})
    return task


@pytest.mark.parametrize("name", WITHHELD)
def test_a_file_that_is_no_picture_of_its_job_is_not_shared(
    horde: Horde, bob: User, model: str, name: str
) -> None:
    make, reason = WITHHELD[name]
    job, worker, taken = shared_job(horde, bob, model)
    deliver(worker, taken, make())
    found = verdict(job)
    assert found["sha256"] is None
    assert found["withheld"] == reason if reason else found["withheld"]


def test_more_pixels_than_the_header_says_are_not_unpacked(horde: Horde, bob: User, model: str) -> None:
    """The decoder stops where the picture ends; 200 MB of zeros stay what they are."""
    job, worker, taken = shared_job(horde, bob, model)
    deliver(worker, taken, png(512, 512, bomb()))
    found = verdict(job)
    if found["withheld"] is None:
        with Image.open(io.BytesIO(shared_bucket(horde, found["id"]))) as opened:
            assert opened.size == (512, 512)


@pytest.mark.parametrize("kind", ["WEBP", "PNG", "JPEG"])
def test_nothing_hides_behind_a_shared_picture(horde: Horde, bob: User, model: str, kind: str) -> None:
    """A picture that is an archive and a page too is shared as a picture alone, or not at all."""
    job, worker, taken = shared_job(horde, bob, model)
    deliver(worker, taken, picture(kind=kind) + b"<script>hidden-payload</script>" + zipped())
    found = verdict(job)
    if found["sha256"] is None:
        assert found["withheld"] == "DECODE_FAILED"
        return
    store = shared_bucket(horde, found["id"])
    assert hashlib.sha256(store).hexdigest() == found["sha256"]
    assert b"hidden-payload" not in store
    assert not zipfile.is_zipfile(io.BytesIO(store))


def shared_bucket(horde: Horde, generation: str) -> bytes:
    settings = Settings.from_env(horde.variables)
    store = ObjectStore(settings.s3_url, settings.s3_access_key, settings.s3_secret_key, settings.s3_region)
    return store.get(settings.bucket_shared, f"{generation}.webp")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        b"<html>",
        b"GIF89a" + bytes(50),
        b"BM" + bytes(50),
        b"%PDF-1.7",
        b"RIFF\0\0\0\0WAVE",
        zipped(),
    ],
    ids=lambda data: repr(data[:8]),
)
def test_what_is_no_picture_at_all_is_no_delivery(horde: Horde, bob: User, model: str, data: bytes) -> None:
    job, worker, taken = shared_job(horde, bob, model)
    (task,) = taken["generations"]
    upload(task, data)
    before = horde.quiet()
    with refused("INVALID_INPUT", "input", "results", "0"):
        worker.report(taken["leaseId"], {"generationId": task["id"], "state": "OK"})
    assert horde.quiet() == before
    assert job.now()["state"] == "PROCESSING"


def test_what_is_larger_than_a_picture_may_be_is_no_delivery(horde: Horde, bob: User, model: str) -> None:
    _, worker, taken = shared_job(horde, bob, model)
    (task,) = taken["generations"]
    upload(task, picture(kind="PNG") + bytes(20 * MEGABYTE))
    with refused("INVALID_INPUT", "input", "results", "0") as told:
        worker.report(taken["leaseId"], {"generationId": task["id"], "state": "OK"})
    assert str(20 * MEGABYTE) in told.result["message"]


@pytest.mark.parametrize("kind", ["WEBP", "JPEG"])
def test_a_picture_swapped_after_it_was_accepted_reaches_nobody(
    horde: Horde, bob: User, model: str, kind: str
) -> None:
    job, worker, taken = shared_job(horde, bob, model)
    accepted = picture(kind=kind)
    task = deliver(worker, taken, accepted)
    link = job.now()["generations"][0]["imageUrl"]
    for other in (picture(), b"<html>", b"", accepted + b"x"):
        # The upload link lives on, so that a failed upload can be tried again.
        status, _ = transfer("PUT", task["uploadUrl"], other)
        assert status == 200
    for shown in (link, job.now()["generations"][0]["imageUrl"]):
        assert transfer("GET", shown) == (200, accepted)
    found = verdict(job)
    assert (found["withheld"], bool(found["sha256"])) == (None, True)
    with refused("LEASE_ENDED"):  # an ended lease gets no new links
        worker.extend(taken["leaseId"])


def test_a_failed_upload_may_be_tried_again_and_the_last_before_acceptance_counts(
    horde: Horde, bob: User, model: str
) -> None:
    job, worker, taken = shared_job(horde, bob, model)
    (task,) = taken["generations"]
    upload(task, b"rubbish")
    with refused("INVALID_INPUT"):
        worker.report(taken["leaseId"], {"generationId": task["id"], "state": "OK"})
    upload(task, picture(kind="PNG"))
    last = upload(task, picture())
    worker.report(taken["leaseId"], {"generationId": task["id"], "state": "OK"})
    assert transfer("GET", job.now()["generations"][0]["imageUrl"]) == (200, last)


def test_links_open_nothing_but_what_they_name(horde: Horde, bob: User, model: str) -> None:
    job, worker, taken = shared_job(horde, bob, model)
    task = deliver(worker, taken, picture())
    put, get = task["uploadUrl"], job.now()["generations"][0]["imageUrl"]
    other = "00000000-0000-4000-8000-000000000000"
    forged = [
        put.replace(task["id"], other),
        put.replace(taken["leaseId"], other),
        put.replace("/results/", "/shared/"),
        put.replace("/results/", "/datasets/"),
        re.sub(r"X-Amz-Expires=\d+", "X-Amz-Expires=604800", put),
        re.sub(r"X-Amz-Signature=.{8}", "X-Amz-Signature=00000000", put),
        put.split("?", maxsplit=1)[0],
        put + "&versionId=null",
        put + "&acl",
    ]
    for link in forged:
        assert link != put
        assert transfer("PUT", link, b"x")[0] in (400, 403), link.split("?")[0]
    for method in ("DELETE", "POST", "PUT"):
        assert transfer(method, get, b"x")[0] in (400, 403, 405), method
    without = re.sub(r"&?versionId=[^&]+", "", get)
    assert without != get
    assert transfer("GET", without)[0] == 403
    assert transfer("GET", put)[0] == 403
