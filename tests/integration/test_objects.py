"""Object storage against a real S3 server: links, conditions, limits, and what happens when it is away."""

import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import aiohttp
import anyio
import pytest
from aiohttp import web

from app.embedded.stack import EmbeddedStack
from app.platform.objects import (
    Missing,
    ObjectChangedError,
    ObjectHead,
    ObjectStore,
    ObjectTooLargeError,
    sniff_image,
)
from app.platform.settings import Settings
from app.platform.storage_errors import ObjectMissingError, StorageUnavailableError

pytestmark = pytest.mark.anyio

WEBP = b"RIFF\x24\0\0\0WEBPVP8 " + bytes(range(100))


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[EmbeddedStack, Settings]]:
    running = EmbeddedStack(Path(tmp_path_factory.mktemp("objects")))
    environ = running.start()
    try:
        yield running, Settings.from_env(environ)
    finally:
        running.stop()


@pytest.fixture
def store(stack: tuple[EmbeddedStack, Settings]) -> ObjectStore:
    settings = stack[1]
    return ObjectStore(settings.s3_url, settings.s3_access_key, settings.s3_secret_key, settings.s3_region)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


@pytest.fixture
def key() -> str:
    return f"{uuid4()}/{uuid4()}.webp"


async def upload(session: aiohttp.ClientSession, link: str, data: bytes) -> str:
    async with session.put(link, data=data, skip_auto_headers=["Content-Type"]) as answer:
        assert answer.status == 200
        return answer.headers["ETag"].strip('"')


async def test_a_worker_uploads_by_link_and_the_object_is_found(
    store: ObjectStore, session: aiohttp.ClientSession, key: str
):
    assert await store.head_of_object(session, "results", key) == Missing()
    etag = await upload(session, store.presign_put("results", key, 60), WEBP)
    assert await store.head_of_object(session, "results", key) == ObjectHead(len(WEBP), etag, WEBP[:32])
    assert store.stat("results", key) == ObjectHead(len(WEBP), etag)
    async with session.get(store.presign_get("results", key, 60)) as answer:
        assert await answer.read() == WEBP


@pytest.mark.parametrize("size", [1, 31, 32, 33, 200_000])
async def test_the_head_tells_size_and_first_bytes_of_any_object(
    store: ObjectStore, session: aiohttp.ClientSession, key: str, size: int
):
    data = (WEBP * 3000)[:size]
    etag = store.put("results", key, data, "image/webp")
    assert await store.head_of_object(session, "results", key) == ObjectHead(size, etag, data[:32])
    assert store.get("results", key) == data


async def test_an_empty_object_is_there_and_empty(
    store: ObjectStore, session: aiohttp.ClientSession, key: str
):
    store.put("results", key, b"", "image/webp")
    found = await store.head_of_object(session, "results", key)
    assert isinstance(found, ObjectHead)
    assert (found.size, found.magic) == (0, b"")


async def test_a_link_is_good_for_its_object_method_and_time_only(
    store: ObjectStore, session: aiohttp.ClientSession, key: str
):
    store.put("results", key, WEBP, "image/webp")
    link = store.presign_get("results", key, 1)
    async with session.get(link.replace(key, f"{key}x")) as answer:
        assert answer.status == 403
    async with session.put(link, data=b"other") as answer:
        assert answer.status == 403
    await anyio.sleep(2.1)
    async with session.get(link) as answer:
        assert answer.status == 403


def test_a_link_is_made_without_asking_the_server():
    nobody = ObjectStore("https://storage.invalid:9000", "key", "secret", "us-east-1")
    assert nobody.presign_put("results", "a/b.webp", 150).startswith(
        "https://storage.invalid:9000/results/a/b.webp?X-Amz-Algorithm="
    )


def test_reading_and_copying_are_conditional_on_the_entity_tag(store: ObjectStore, key: str):
    accepted = store.put("results", key, WEBP, "image/webp")
    assert store.get("results", key, etag=accepted) == WEBP
    copied = store.copy(("results", key), ("shared", key), etag=accepted)
    assert store.stat("shared", key) == ObjectHead(len(WEBP), copied)

    store.put("results", key, b"swapped after it was accepted", "image/webp")
    with pytest.raises(ObjectChangedError):
        store.get("results", key, etag=accepted)
    with pytest.raises(ObjectChangedError):
        store.copy(("results", key), ("shared", key), etag=accepted)
    assert store.get("shared", key) == WEBP


def test_what_is_missing_is_said_to_be(store: ObjectStore, key: str):
    assert store.stat("results", key) == Missing()
    with pytest.raises(ObjectMissingError):
        store.get("results", key)
    with pytest.raises(ObjectMissingError):
        store.get("results", key, etag="0" * 32)
    with pytest.raises(ObjectMissingError):
        store.copy(("results", key), ("shared", key))


def test_removing_twice_is_removing_once(store: ObjectStore, key: str):
    store.put("results", key, WEBP, "image/webp")
    store.remove("results", key)
    store.remove("results", key)
    assert store.stat("results", key) == Missing()


@pytest.fixture
def kept(store: ObjectStore) -> str:
    """A bucket that keeps versions."""
    name = f"kept-{uuid4()}"
    store.ensure_buckets({name: None})
    for _ in range(2):
        assert store.keep_versions(name)
    return name


async def test_a_version_stays_what_it_is_however_often_its_key_is_written(
    store: ObjectStore, session: aiohttp.ClientSession, kept: str, key: str
):
    upload_link = store.presign_put(kept, key, 60)
    etag = await upload(session, upload_link, WEBP)
    accepted = await store.head_of_object(session, kept, key)
    assert isinstance(accepted, ObjectHead)
    assert accepted == ObjectHead(len(WEBP), etag, WEBP[:32], accepted.version)
    assert accepted.version
    link = store.presign_get(kept, key, 60, "image/webp", version=accepted.version)

    await upload(session, upload_link, b"swapped after it was accepted")
    newest = await store.head_of_object(session, kept, key)
    assert isinstance(newest, ObjectHead)
    assert newest.version not in ("", accepted.version)
    async with session.get(link) as answer:
        assert (await answer.read(), answer.headers["Content-Type"]) == (WEBP, "image/webp")
    assert store.get(kept, key, etag=etag, version=accepted.version) == WEBP
    for changed in (link.replace(accepted.version, newest.version), link.replace("versionId", "versionid")):
        async with session.get(changed) as answer:
            assert answer.status == 403


async def test_removing_leaves_no_version(
    store: ObjectStore, session: aiohttp.ClientSession, kept: str, key: str
):
    heads = []
    for data in (WEBP, b"another"):
        store.put(kept, key, data, "image/webp")
        heads.append(await store.head_of_object(session, kept, key))
    store.put(kept, f"{key}x", b"a neighbour", "image/webp")
    store.remove(kept, key)
    store.remove(kept, key)
    for head in heads:
        assert isinstance(head, ObjectHead)
        with pytest.raises(ObjectMissingError):
            store.get(kept, key, version=head.version)
    assert store.stat(kept, key) == Missing()
    assert store.get(kept, f"{key}x") == b"a neighbour"


async def test_what_was_put_before_versions_were_kept_has_none_and_goes_too(
    store: ObjectStore, session: aiohttp.ClientSession, key: str
):
    name = f"late-{uuid4()}"
    store.ensure_buckets({name: None})
    store.put(name, key, WEBP, "image/webp")
    assert store.keep_versions(name)
    found = await store.head_of_object(session, name, key)
    assert isinstance(found, ObjectHead)
    assert (found.size, found.version) == (len(WEBP), "")
    assert store.get(name, key) == WEBP
    store.remove(name, key)
    assert store.stat(name, key) == Missing()


async def test_storage_without_versions_is_told_from_storage_that_fails(session: aiohttp.ClientSession):
    # The SDK blocks: away from the loop that answers it.
    body = b"<Error><Code>NotImplemented</Code><Message>no</Message></Error>"
    async with answering(web.Response(status=501, body=body, content_type="application/xml")) as plain:
        assert not await anyio.to_thread.run_sync(plain.keep_versions, "results")
    async with answering(web.Response(status=403)) as shut:
        with pytest.raises(StorageUnavailableError):
            await anyio.to_thread.run_sync(shut.keep_versions, "results")


def test_no_more_is_read_than_the_caller_takes(store: ObjectStore, key: str):
    store.put("results", key, b"x" * 1000, "image/webp")
    assert len(store.get("results", key, limit=1000)) == 1000
    with pytest.raises(ObjectTooLargeError):
        store.get("results", key, limit=999)


def test_buckets_are_made_once_with_their_expiry(store: ObjectStore, key: str):
    name = f"made-{uuid4()}"
    for _ in range(2):
        store.ensure_buckets({name: 1, "shared": None})
    store.put(name, key, WEBP, "image/webp")
    lifecycle = store._client.get_bucket_lifecycle(name)
    assert lifecycle is not None
    (rule,) = lifecycle.rules
    assert rule.expiration is not None
    assert rule.expiration.days == 1
    assert rule.noncurrent_version_expiration is not None
    assert rule.noncurrent_version_expiration.noncurrent_days == 1


async def test_a_missing_bucket_is_no_fault_of_the_worker(
    store: ObjectStore, session: aiohttp.ClientSession, key: str
):
    with pytest.raises(StorageUnavailableError):
        await store.head_of_object(session, "nowhere", key)
    with pytest.raises(StorageUnavailableError):
        store.put("nowhere", key, WEBP, "image/webp")


async def test_wrong_credentials_are_no_missing_object(
    stack: tuple[EmbeddedStack, Settings], session: aiohttp.ClientSession, key: str
):
    settings = stack[1]
    stranger = ObjectStore(settings.s3_url, settings.s3_access_key, "wrong secret", "us-east-1")
    with pytest.raises(StorageUnavailableError):
        await stranger.head_of_object(session, "results", key)
    with pytest.raises(StorageUnavailableError):
        stranger.get("results", key)


def test_strangers_read_and_list_nothing(stack: tuple[EmbeddedStack, Settings], store: ObjectStore, key: str):
    store.put("results", key, WEBP, "image/webp")
    for path in ("", "results", f"results/{key}"):
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(f"{stack[1].s3_url}/{path}", timeout=5)


async def test_storage_that_hangs_or_died_is_unavailable_in_time(
    stack: tuple[EmbeddedStack, Settings], store: ObjectStore, session: aiohttp.ClientSession, key: str
):
    running = stack[0]
    etag = store.put("results", key, WEBP, "image/webp")
    os.kill(running.pid("seaweedfs"), signal.SIGSTOP)
    try:
        started = time.monotonic()
        with pytest.raises(StorageUnavailableError):
            await store.head_of_object(session, "results", key)
        assert 1.5 < time.monotonic() - started < 3
    finally:
        os.kill(running.pid("seaweedfs"), signal.SIGCONT)
    assert await store.head_of_object(session, "results", key) == ObjectHead(len(WEBP), etag, WEBP[:32])

    os.kill(running.pid("seaweedfs"), signal.SIGKILL)
    with pytest.raises(StorageUnavailableError):
        await store.head_of_object(session, "results", key)
    with pytest.raises(StorageUnavailableError):
        store.stat("results", key)
    running.restart("seaweedfs")
    assert await store.head_of_object(session, "results", key) == ObjectHead(len(WEBP), etag, WEBP[:32])


@asynccontextmanager
async def answering(answer: web.Response) -> AsyncIterator[ObjectStore]:
    async def handle(_: web.Request) -> web.Response:
        return answer

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        yield ObjectStore(f"http://{host}:{port}", "key", "secret", "us-east-1")
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    "answer",
    [
        lambda: web.Response(status=500),
        lambda: web.Response(status=503),
        lambda: web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"}),
        lambda: web.Response(status=206, body=WEBP, headers={"Content-Range": "bytes 0-31/*"}),
    ],
)
async def test_answers_that_tell_nothing_are_unavailable_storage(session: aiohttp.ClientSession, answer):
    async with answering(answer()) as odd:
        with pytest.raises(StorageUnavailableError) as raised:
            await odd.head_of_object(session, "results", "a/b.webp")
        assert "X-Amz" not in str(raised.value)


async def test_a_server_without_ranges_is_read_no_further_than_needed(session: aiohttp.ClientSession):
    body = WEBP.ljust(300_000, b"\0")
    async with answering(web.Response(body=body, headers={"ETag": '"tag"'})) as plain:
        found = await plain.head_of_object(session, "results", "a/b.webp")
    assert found == ObjectHead(300_000, "tag", WEBP[:32])


@pytest.mark.parametrize(
    ("magic", "kind"),
    [
        (WEBP, "webp"),
        (b"\x89PNG\r\n\x1a\n\0\0", "png"),
        (b"\xff\xd8\xff\xe0", "jpeg"),
        (b"RIFF\0\0\0\0WAVE", None),
        (b"GIF89a", None),
        (b"<html>", None),
        (b"", None),
    ],
)
async def test_image_formats_are_known_by_their_first_bytes(magic: bytes, kind: str | None):
    assert sniff_image(magic) == kind
