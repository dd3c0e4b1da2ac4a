"""Servers of webhooks that mean harm: they lead inside, rebind, redirect, drip, drown. Nothing inside is ever told.

"Outside" is 127.0.0.2, which is opened; "inside" is 127.0.0.1, which is not, and must never be connected to.
"""

import asyncio
import ipaddress
import itertools
import socket
import ssl
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from app.platform.guarded import Names
from app.platform.ids import new_id
from app.platform.outside import Outside
from app.platform.vault import WebhookFault
from app.webhooks.post import BODY_BYTES, Answer, post
from tests.hostile.test_sources import INSIDE_PLACES, Resolver, drip
from tests.stranger import INSIDE, OUTSIDE, PEM, RECEIVER_PEM, Says, Stranger, answer, redirect

pytestmark = pytest.mark.anyio

OPENED = Outside([ipaddress.ip_network(f"{OUTSIDE}/32")])
BELIEVED = ssl.create_default_context(cafile=str(RECEIVER_PEM))
HEARD = Answer(200, None)
UNREACHABLE, FORBIDDEN = WebhookFault.UNREACHABLE, WebhookFault.FORBIDDEN_ADDRESS
TOO_SLOW, REFUSED = WebhookFault.TOO_SLOW, WebhookFault.REFUSED


@pytest.fixture
def stranger() -> Iterator[Stranger]:
    with Stranger(tls=True, pem=RECEIVER_PEM, good=answer()) as made:
        yield made


@pytest.fixture
def inside() -> Iterator[Stranger]:
    """A server that nobody outside may reach through us: whoever connects to it has failed the test."""
    with Stranger(INSIDE, tls=True, pem=RECEIVER_PEM, good=answer()) as made:
        yield made
        assert (made.connections, made.visits) == (0, [])


async def tell(url: str, resolver: Any = None, **options: Any) -> Answer:
    given: dict[str, Any] = {"tls": BELIEVED, "delivery": new_id(), "body": b"{}", "secrets": [b"secret"]}
    return await post(url, OPENED, lookup=resolver or Resolver([OUTSIDE]), **(given | options))


async def test_nothing_of_ours_is_told_and_no_proxy_asked(
    stranger: Stranger, inside: Stranger, monkeypatch: pytest.MonkeyPatch
):
    for name in ("http_proxy", "HTTPS_PROXY", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, inside.url())
    assert await tell(stranger.url("good?a=b#c", "receiver.example"), body=b'{"a":1}') == HEARD
    (visit,) = stranger.visits
    assert (visit.path, visit.body) == ("/good?a=b", b'{"a":1}')
    assert visit.headers["host"] == f"receiver.example:{stranger.port}"
    assert set(visit.headers) == {
        "host", "accept", "accept-encoding", "connection", "user-agent", "content-type", "content-length",
        "webhook-id", "webhook-timestamp", "webhook-signature",
    }  # fmt: skip


@pytest.mark.parametrize("place", INSIDE_PLACES)
async def test_nobody_is_told_inside_or_led_there(stranger: Stranger, inside: Stranger, place: str):
    to = place.format(
        inside=f"{INSIDE}:{inside.port}", outside=f"{OUTSIDE}:{stranger.port}", port=inside.port
    )
    secure = to.replace("http:", "https:")
    for url in {to, secure}:
        found = await tell(url, Names(2))
        assert (found.status, found.fault) in ((None, FORBIDDEN), (None, UNREACHABLE))
    for status in (301, 302, 307, 308):
        stranger.pages["/away"] = redirect(secure, status)
        assert await tell(stranger.url("away")) == Answer(status, REFUSED)
    assert set(stranger.paths()) == {"/away"}


async def test_redirects_are_not_followed_not_even_to_a_good_place(stranger: Stranger):
    stranger.pages["/away"] = redirect(stranger.url("good"), 308)
    assert await tell(stranger.url("away")) == Answer(308, REFUSED)
    assert stranger.paths() == ["/away"]


async def test_a_name_is_judged_anew_each_time_and_the_address_that_was_judged_is_used(
    stranger: Stranger, inside: Stranger
):
    rebinding = Resolver([OUTSIDE], [INSIDE])
    url = f"https://receiver.example:{stranger.port}/good"
    assert await tell(url, rebinding) == HEARD
    assert rebinding.asked == ["receiver.example"]
    found = await tell(f"https://receiver.example:{inside.port}/good", rebinding)
    assert found == Answer(None, FORBIDDEN)


@pytest.mark.parametrize("others", [[INSIDE], ["::1"], ["10.0.0.1"], ["::ffff:127.0.0.2"]])
async def test_a_name_that_leads_inside_among_others_is_not_told(
    stranger: Stranger, inside: Stranger, others: list[str]
):
    for addresses in ([OUTSIDE, *others], [*others, OUTSIDE]):
        found = await tell(stranger.url("good", "receiver.example"), Resolver(addresses))
        assert found == Answer(None, FORBIDDEN)
    assert stranger.connections == 0


async def test_plain_http_is_never_spoken(inside: Stranger):
    with Stranger(good=answer()) as plain:
        assert await tell(plain.url("good")) == Answer(None, FORBIDDEN)
        assert plain.connections == 0


async def test_a_certificate_that_nobody_vouches_for_or_of_another_name_is_not_believed(stranger: Stranger):
    with Stranger(tls=True, pem=PEM, good=answer()) as unknown:
        assert await tell(unknown.url("good")) == Answer(None, UNREACHABLE)
        assert unknown.visits == []
    assert await tell(stranger.url("good", "another.example")) == Answer(None, UNREACHABLE)
    assert await tell(stranger.url("good"), tls=None) == Answer(None, UNREACHABLE)
    assert stranger.visits == []


async def test_who_drips_is_left_in_time(stranger: Stranger):
    over = stranger.over.wait
    slow = {
        "headers": itertools.chain([b"HTTP/1.1 200 OK\r\n"], itertools.repeat(b"X-More: of it\r\n")),
        "status": itertools.chain([b"HTTP/1.1 200 "], itertools.repeat(b"O")),
    }
    for name, pieces in slow.items():
        stranger.pages[f"/{name}"] = drip(pieces, over)

    def silent() -> Says:
        over(10)
        yield b""

    stranger.pages["/silence"] = silent
    began = time.monotonic()
    found = await asyncio.gather(*(tell(stranger.url(name), seconds=0.7) for name in (*slow, "silence")))
    assert time.monotonic() - began < 8
    assert set(found) == {Answer(None, TOO_SLOW)}


async def test_who_goes_on_talking_was_heard_and_is_left(stranger: Stranger):
    """The status says it; what comes after is cut off, however slow or much of it there is."""

    def endless() -> Says:
        yield b"HTTP/1.1 200 OK\r\n\r\n"
        while not stranger.over.is_set():
            yield bytes(1024 * 1024)

    head = b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n"
    stranger.pages["/endless"] = endless
    stranger.pages["/body"] = drip(itertools.chain([head], itertools.repeat(b"x")), stranger.over.wait)

    def nothing() -> Says:
        yield head
        stranger.over.wait(10)

    stranger.pages["/nothing"] = nothing
    began = time.monotonic()
    tracemalloc.start()
    found = await asyncio.gather(*(tell(stranger.url(name)) for name in ("endless", "body", "nothing")))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert set(found) == {HEARD}
    assert time.monotonic() - began < 8
    # The stranger's own megabytes are in this process too.
    assert peak < 8 * 1024 * 1024 + BODY_BYTES


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        (answer(status=204), Answer(204, None)),
        (answer(status=299), Answer(299, None)),
        (answer(status=300), Answer(300, REFUSED)),
        (answer(status=404), Answer(404, REFUSED)),
        (answer(status=500), Answer(500, REFUSED)),
        (answer(status=410), Answer(410, WebhookFault.GONE)),
        (b"", Answer(None, UNREACHABLE)),
        (b"SSH-2.0-OpenSSH_9.9\r\n", Answer(None, UNREACHABLE)),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", Answer(None, UNREACHABLE)),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 10_000 + b"\r\n", Answer(None, UNREACHABLE)),
        (answer(b"<html>" * 10, content_encoding="gzip"), HEARD),
    ],
    ids=lambda value: repr(value)[2:19] if isinstance(value, bytes) else None,
)
async def test_answers(stranger: Stranger, page: bytes, expected: Answer):
    stranger.pages["/odd"] = page
    assert await tell(stranger.url("odd"), seconds=5) == expected


async def test_a_server_or_a_name_that_is_not_there():
    with socket.create_server((OUTSIDE, 0)) as taken:
        port = taken.getsockname()[1]
    assert await tell(f"https://{OUTSIDE}:{port}/good") == Answer(None, UNREACHABLE)

    async def lookup(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    assert await tell("https://unknown.example/", lookup) == Answer(None, UNREACHABLE)
    assert await tell("https://empty.example/", Resolver([])) == Answer(None, UNREACHABLE)
