"""Servers of source images that mean harm: they lead inside, drip, drown, unpack, lie. Nothing is had from them.

"Outside" is 127.0.0.2, which is opened; "inside" is 127.0.0.1, which is not, and must never be connected to.
"""

import asyncio
import gzip
import ipaddress
import itertools
import socket
import ssl
import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from app.platform import guarded
from app.platform.guarded import Names
from app.platform.outside import Outside
from app.platform.picture_fetch import FetchError, fetch
from app.platform.sources import MAX_SOURCE_BYTES
from events.jobs import SourceFault
from tests.acceptance.horde import picture
from tests.hostile.test_uploads import chunk, png
from tests.stranger import INSIDE, OUTSIDE, PEM, Says, Stranger, answer, redirect

pytestmark = pytest.mark.anyio

OPENED = Outside([ipaddress.ip_network(f"{OUTSIDE}/32")])
GOOD = picture(64, 64)
UNREACHABLE, FORBIDDEN = SourceFault.UNREACHABLE, SourceFault.FORBIDDEN_ADDRESS
TOO_SLOW, TOO_LARGE, NO_IMAGE = SourceFault.TOO_SLOW, SourceFault.TOO_LARGE, SourceFault.NO_IMAGE


class Resolver:
    """Answers by turns, whatever is asked; the last answer stays."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
def stranger() -> Iterator[Stranger]:
    with Stranger(good=answer(GOOD)) as made:
        yield made


@pytest.fixture
def inside() -> Iterator[Stranger]:
    """A server that nobody outside may reach through us: whoever connects to it has failed the test."""
    with Stranger(INSIDE, good=answer(GOOD), secret=answer(b"secret")) as made:
        yield made
        assert (made.connections, made.visits) == (0, [])


async def had(url: str, resolver: Any = None, **options: Any) -> bytes:
    return await fetch(url, OPENED, lookup=resolver or Resolver([OUTSIDE]), **options)


async def refused(url: str, resolver: Any = None, **options: Any) -> FetchError:
    with pytest.raises(FetchError) as told:
        await had(url, resolver, **options)
    return told.value


async def test_a_picture_is_had_whatever_its_server_says_it_is(stranger: Stranger):
    stranger.pages["/page"] = answer(GOOD, content_type="text/html")
    assert await had(stranger.url("good")) == GOOD
    assert await had(stranger.url("page", "pictures.example")) == GOOD


async def test_nothing_of_ours_is_told_and_no_proxy_asked(
    stranger: Stranger, inside: Stranger, monkeypatch: pytest.MonkeyPatch
):
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, inside.url())
    stranger.pages["/first"] = redirect("/good?again", set_cookie="who=me; Path=/")
    assert await had(stranger.url("first?a=b#c", "pictures.example")) == GOOD
    assert stranger.paths() == ["/first?a=b", "/good?again"]
    for visit in stranger.visits:
        assert visit.headers["host"] == f"pictures.example:{stranger.port}"
        assert visit.headers["accept-encoding"] == "identity"
        assert set(visit.headers) == {"host", "accept", "accept-encoding", "connection", "user-agent"}


INSIDE_PLACES = [
    "http://{inside}/secret",
    "http://localhost:{port}/secret",
    "//{inside}/secret",
    "http://169.254.169.254/latest/meta-data",
    "http://[::1]:{port}/secret",
    "http://[::ffff:127.0.0.1]:{port}/secret",
    "http://[64:ff9b::7f00:1]/secret",
    "http://0/secret",
    "http://2130706433:{port}/secret",
    "http://0x7f.1:{port}/secret",
    "http://127.1:{port}/secret",
    "http://10.0.0.1/",
    "http://me:word@{outside}/good",
    "file:///etc/passwd",
    "ftp://{outside}/good",
    "gopher://{inside}/",
    "data:image/png;base64,AAAA",
]


@pytest.mark.parametrize("place", INSIDE_PLACES)
@pytest.mark.parametrize("status", [301, 307])
async def test_nobody_is_led_inside(stranger: Stranger, inside: Stranger, place: str, status: int):
    to = place.format(
        inside=f"{INSIDE}:{inside.port}", outside=f"{OUTSIDE}:{stranger.port}", port=inside.port
    )
    stranger.pages["/away"] = redirect(to, status)
    failed = await refused(stranger.url("away"), Names(2))
    assert failed.cause in (FORBIDDEN, UNREACHABLE)
    assert "/good" not in stranger.paths()


@pytest.mark.parametrize("place", INSIDE_PLACES)
async def test_nor_sent_there_straight(inside: Stranger, stranger: Stranger, place: str):
    url = place.format(
        inside=f"{INSIDE}:{inside.port}", outside=f"{OUTSIDE}:{stranger.port}", port=inside.port
    )
    assert (await refused(url, Names(2))).cause in (FORBIDDEN, UNREACHABLE)


async def test_a_name_is_asked_once_and_the_address_that_was_judged_is_the_one_that_is_used(
    stranger: Stranger, inside: Stranger
):
    rebinding = Resolver([OUTSIDE], [INSIDE])
    url = f"http://rebinding.example:{stranger.port}/good"
    assert await had(url, rebinding) == GOOD
    assert rebinding.asked == ["rebinding.example"]
    # A second request is judged anew.
    failed = await refused(f"http://rebinding.example:{inside.port}/good", rebinding)
    assert (failed.cause, failed.passing) == (FORBIDDEN, False)


async def test_a_name_that_leads_inside_after_a_redirect_is_not_followed(
    stranger: Stranger, inside: Stranger
):
    stranger.pages["/away"] = redirect(f"http://rebinding.example:{inside.port}/good")
    rebinding = Resolver([OUTSIDE], [INSIDE])
    failed = await refused(f"http://rebinding.example:{stranger.port}/away", rebinding)
    assert failed.cause is FORBIDDEN
    assert rebinding.asked == ["rebinding.example"] * 2


@pytest.mark.parametrize("others", [[INSIDE], ["::1"], ["10.0.0.1"], ["::ffff:127.0.0.2"], ["fe80::1%lo"]])
async def test_a_name_that_leads_inside_among_others_is_not_asked(
    stranger: Stranger, inside: Stranger, others: list[str]
):
    for addresses in ([OUTSIDE, *others], [*others, OUTSIDE]):
        assert (await refused(stranger.url("good", "two.example"), Resolver(addresses))).cause is FORBIDDEN
    assert stranger.connections == 0


async def test_redirects_are_followed_three_times(stranger: Stranger):
    for number in range(5):
        stranger.pages[f"/{number}"] = redirect(f"/{number - 1}" if number else "/good")
    assert await had(stranger.url("2")) == GOOD
    failed = await refused(stranger.url("3"))
    assert (failed.cause, failed.passing) == (UNREACHABLE, False)
    stranger.pages["/round"] = redirect("/round")
    assert (await refused(stranger.url("round"))).cause is UNREACHABLE
    stranger.pages["/nowhere"] = answer(status=302)
    assert (await refused(stranger.url("nowhere"))).cause is UNREACHABLE


def drip(pieces: Iterator[bytes], over: Callable[[float], bool]) -> Callable[[], Says]:
    """Say something again and again, always before anybody loses patience with a silence."""

    def say() -> Says:
        for piece in pieces:
            if over(0.05):
                return
            yield piece

    return say


async def test_who_drips_is_left_in_time(stranger: Stranger):
    over = stranger.over.wait
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n"
    slow = {
        "body": itertools.chain([head, GOOD[:40]], itertools.repeat(b"x")),
        "chunks": itertools.chain(
            [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"], itertools.repeat(b"1\r\nR\r\n")
        ),
        "headers": itertools.chain([b"HTTP/1.1 200 OK\r\n"], itertools.repeat(b"X-More: of it\r\n")),
        "status": itertools.chain([b"HTTP/1.1 200 "], itertools.repeat(b"O")),
        "silence": iter([]),
    }
    for name, pieces in slow.items():
        stranger.pages[f"/{name}"] = drip(pieces, over)

    def silent() -> Says:
        over(10)
        yield b""

    stranger.pages["/silence"] = silent
    began = time.monotonic()
    found = await asyncio.gather(*(refused(stranger.url(name), seconds=0.7) for name in slow))
    assert time.monotonic() - began < 8
    by_name = {name: error.cause for name, error in zip(slow, found, strict=True)}
    # What says too much of nothing may be cut off for that before its time is over.
    assert by_name.pop("chunks") in (TOO_SLOW, NO_IMAGE)
    assert set(by_name.values()) == {TOO_SLOW}


async def test_redirects_and_retries_of_addresses_do_not_add_to_the_time(stranger: Stranger):
    def late() -> Says:
        stranger.over.wait(0.4)
        yield redirect("/late")

    stranger.pages["/late"] = late
    began = time.monotonic()
    assert (await refused(stranger.url("late"), seconds=0.6)).cause is TOO_SLOW
    assert time.monotonic() - began < 8


async def test_a_file_that_says_it_is_too_large_is_not_read(stranger: Stranger):
    sent = []

    def large() -> Says:
        yield b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (MAX_SOURCE_BYTES + 1)
        for _ in range(100):
            if stranger.over.wait(0.01):
                return
            sent.append(1)
            yield bytes(65_536)

    stranger.pages["/large"] = large
    failed = await refused(stranger.url("large"))
    assert (failed.cause, failed.passing) == (TOO_LARGE, False)


async def test_a_file_without_an_end_is_cut_off_and_does_not_fill_the_memory(stranger: Stranger):
    def endless() -> Says:
        yield b"HTTP/1.1 200 OK\r\n\r\n" + GOOD
        while not stranger.over.is_set():
            yield bytes(1024 * 1024)

    stranger.pages["/endless"] = endless
    tracemalloc.start()
    assert (await refused(stranger.url("endless"))).cause is TOO_LARGE
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # The stranger's own megabytes are in this process too.
    assert peak < 3 * MAX_SOURCE_BYTES


async def test_what_is_no_picture_is_refused_at_its_first_bytes(stranger: Stranger):
    files = {
        "html": b"<html>" + bytes(100),
        "svg": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>',
        "gif": b"GIF89a" + bytes(100),
        "empty": b"",
        "short": GOOD[:20],
        "archive": b"PK\3\4" + bytes(100),
        "animation": GOOD[:12] + b"VP8X\n\0\0\0\x02\0\0\0" + bytes(100),
        "onlymagic": b"\x89PNG\r\n\x1a\n" + bytes(100),
    }
    for name, data in files.items():
        stranger.pages[f"/{name}"] = answer(data, content_type="image/png")
        failed = await refused(stranger.url(name))
        assert (name, failed.cause, failed.passing) == (name, NO_IMAGE, False)


async def test_pages_are_left_before_they_end(stranger: Stranger):
    def page() -> Says:
        yield b"HTTP/1.1 200 OK\r\n\r\n<html>" + bytes(100)
        stranger.over.wait(10)

    stranger.pages["/page"] = page
    began = time.monotonic()
    assert (await refused(stranger.url("page"))).cause is NO_IMAGE
    assert time.monotonic() - began < 8


async def test_nothing_is_unpacked(stranger: Stranger):
    bomb = gzip.compress(bytes(50 * 1024 * 1024))
    for name, body in (("bomb", bomb), ("picture", gzip.compress(GOOD))):
        for coding in ("gzip", "deflate", "br"):
            stranger.pages[f"/{name}"] = answer(body, content_encoding=coding)
            assert (await refused(stranger.url(name))).cause is NO_IMAGE


async def test_a_picture_is_judged_by_the_size_that_it_declares(stranger: Stranger):
    lossless = struct.pack("<I", 16_383 | 16_383 << 14)
    bombs = {
        "png": png(65_535, 65_535, zlib.compress(b"")),
        "long": png(8_193, 1, zlib.compress(b"")),
        "most": png(2**31 - 1, 2**31 - 1, b""),
        "webp": b"RIFF\0\0\0\0WEBPVP8L\x20\0\0\0\x2f" + lossless + bytes(40),
        "jpeg": b"\xff\xd8\xff\xc0\0\x11\x08\xff\xff\xff\xff\3" + bytes(40),
    }
    for name, data in bombs.items():
        stranger.pages[f"/{name}"] = answer(data)
        assert (name, (await refused(stranger.url(name))).cause) == (name, TOO_LARGE)
    stranger.pages["/tall"] = answer(png(1, 8_192, zlib.compress(b"")))
    assert await had(stranger.url("tall"))
    unpacked = png(64, 64, b"", chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(20 * 1024 * 1024), 9)))
    stranger.pages["/text"] = answer(unpacked)
    assert await had(stranger.url("text")) == unpacked


async def test_a_mask_is_asked_for_where_it_must_be(stranger: Stranger):
    assert (await refused(stranger.url("good"), alpha=True)).cause is SourceFault.NO_MASK


@pytest.mark.parametrize(
    ("page", "passing"),
    [
        (answer(GOOD, 404), False),
        (answer(GOOD, 403), False),
        (answer(GOOD, 206), False),
        (answer(GOOD, 500), True),
        (answer(GOOD, 503), True),
        (answer(GOOD, 429), True),
        (b"", True),
        (b"SSH-2.0-OpenSSH_9.9\r\n", True),
        (b"\x16\x03\x01" + bytes(500), True),
        (answer(GOOD)[:-50], True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n" + GOOD, True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" + GOOD, True),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n" + GOOD, True),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 10_000 + b"\r\n" + GOOD, True),
        (b"HTTP/1.1 302 Found\r\nLocation: http://[\r\nContent-Length: 0\r\n\r\n", True),
    ],
    ids=lambda value: repr(value)[2:19] if isinstance(value, bytes) else None,
)
async def test_answers_that_are_none(stranger: Stranger, page: bytes, passing: bool):
    stranger.pages["/odd"] = page
    failed = await refused(stranger.url("odd"), seconds=5)
    assert (failed.cause, failed.passing) == (UNREACHABLE, passing)


async def test_a_server_that_is_not_there_may_be_there_later():
    with socket.create_server((OUTSIDE, 0)) as taken:
        port = taken.getsockname()[1]
    failed = await refused(f"http://{OUTSIDE}:{port}/good")
    assert (failed.cause, failed.passing) == (UNREACHABLE, True)


@pytest.mark.parametrize(
    ("error", "passing"),
    [
        (socket.gaierror(socket.EAI_NONAME, "unknown"), False),
        (socket.gaierror(socket.EAI_AGAIN, "later"), True),
        (UnicodeError("label too long"), False),
    ],
)
async def test_a_name_that_does_not_resolve(error: Exception, passing: bool):
    async def lookup(host: str, port: int) -> Sequence[str]:
        raise error

    failed = await refused("http://unknown.example/", lookup)
    assert (failed.cause, failed.passing) == (UNREACHABLE, passing)


async def test_a_name_that_resolves_to_nothing():
    assert (await refused("http://empty.example/", Resolver([]))).cause is UNREACHABLE


async def test_a_name_server_that_does_not_answer_is_left_in_time(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(guarded, "LOOKUP_SECONDS", 0.1)

    async def lookup(host: str, port: int) -> Sequence[str]:
        await asyncio.sleep(30)
        return [OUTSIDE]

    began = time.monotonic()
    failed = await refused("http://slow.example/", lookup)
    assert (failed.cause, failed.passing) == (UNREACHABLE, True)
    assert time.monotonic() - began < 8


async def test_certificates_are_checked_against_the_name_and_not_the_address():
    believed = ssl.create_default_context(cafile=str(PEM))
    with Stranger(tls=True, good=answer(GOOD)) as stranger:
        url = stranger.url("good", "pictures.example")
        assert await had(url, tls=believed) == GOOD
        assert stranger.visits[0].headers["host"] == f"pictures.example:{stranger.port}"
        for other, context in ((url, None), (stranger.url("good", "other.example"), believed)):
            failed = await refused(other, tls=context)
            assert (failed.cause, failed.passing) == (UNREACHABLE, False)
        assert len(stranger.visits) == 1


async def test_https_is_not_left_for_plain_http_at_an_address_that_is_not_opened(inside: Stranger):
    believed = ssl.create_default_context(cafile=str(PEM))
    with Stranger(tls=True, away=redirect(inside.url("good", "inside.example"))) as stranger:
        names = Resolver([OUTSIDE], [INSIDE])
        failed = await refused(stranger.url("away", "pictures.example"), names, tls=believed)
        assert failed.cause is FORBIDDEN


async def test_by_default_only_https_at_its_port_on_the_public_internet_is_asked(inside: Stranger):
    for url in (inside.url("good"), inside.url("good", "pictures.example"), f"https://{INSIDE}/"):
        with pytest.raises(FetchError) as told:
            await fetch(url, Outside(), lookup=Resolver([INSIDE]))
        assert told.value.cause is FORBIDDEN
    with pytest.raises(FetchError) as told:
        await fetch("https://pictures.example/", Outside(), lookup=Resolver([INSIDE]))
    assert told.value.cause is FORBIDDEN
