"""WebSockets that break the protocol, flood it, or never read: closed with the right code, and nothing else happens."""

import contextlib
import json
import socket
import time
from typing import Any

import pytest

from tests.acceptance.horde import Horde
from tests.hostile.conftest import answers_promptly, resident
from tests.hostile.sockets import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Ended,
    RawWebSocket,
    closed,
    frame,
)

pytestmark = pytest.mark.usefixtures("nothing_happens")

INIT = {"type": "connection_init"}
QUERY = {"query": "{ __typename }"}
WATCH = "subscription { events { position } }"


@pytest.mark.parametrize("subprotocol", [None, "graphql-ws", "", "graphql-transport-ws2", "x, y"])
def test_another_subprotocol_is_4406(horde: Horde, subprotocol: str | None) -> None:
    with RawWebSocket(horde.url, subprotocol) as peer:
        if peer.status == 101:
            assert peer.end().code == 4406
        else:
            assert peer.status == 400


def test_who_never_says_hello_is_4408_after_three_seconds(horde: Horde) -> None:
    began = time.monotonic()
    with RawWebSocket(horde.url) as silent, RawWebSocket(horde.url) as pinging:
        while time.monotonic() - began < 2:
            pinging.send(frame(PING, b"x"))
            pinging.say({"type": "ping"})
            time.sleep(0.1)
        assert silent.end().code == 4408
        assert pinging.end().code == 4408
    assert time.monotonic() - began < 5


#: what is said after a good handshake, and the code it ends with
SAID: dict[str, tuple[Any, int]] = {
    "hello twice": (INIT, 4429),
    "no JSON": ("{", 4400),
    "nothing": ("", 4400),
    "a list": ("[]", 4400),
    "a text": ('"subscribe"', 4400),
    "null": ("null", 4400),
    "no type": ("{}", 4400),
    "a number as type": ({"type": 1}, 4400),
    "an unknown type": ({"type": "start", "id": "1", "payload": QUERY}, 4400),
    "a server's message": ({"type": "next", "id": "1", "payload": {}}, 4400),
    "a huge type": ({"type": "x" * 90_000}, 4400),
    "subscribe without id": ({"type": "subscribe", "payload": QUERY}, 4400),
    "subscribe with an empty id": ({"type": "subscribe", "id": "", "payload": QUERY}, 4400),
    "subscribe with a number": ({"type": "subscribe", "id": 1, "payload": QUERY}, 4400),
    "subscribe without payload": ({"type": "subscribe", "id": "1"}, 4400),
    "subscribe with a list": ({"type": "subscribe", "id": "1", "payload": [QUERY]}, 4400),
    "subscribe without query": ({"type": "subscribe", "id": "1", "payload": {}}, 4400),
    "variables that are no object": (
        {"type": "subscribe", "id": "1", "payload": {**QUERY, "variables": []}},
        4400,
    ),
    "deep": ('{"type": "ping", "payload": ' + "[" * 30_000 + "]" * 30_000 + "}", 4400),
    "a NaN": ('{"type": "ping", "payload": NaN}', 4400),
    "too long": ({"type": "ping", "payload": "x" * 1_000_001}, 1009),
}


@pytest.mark.parametrize("name", SAID)
def test_a_message_that_is_none_ends_the_connection(horde: Horde, name: str) -> None:
    said, code = SAID[name]
    with RawWebSocket(horde.url) as peer:
        peer.init().say(said)
        assert peer.end().code == code


#: bytes that are no frames of a client
FRAMES = {
    "unmasked": (frame(TEXT, json.dumps(INIT).encode(), masked=False), 1002),
    "reserved bits": (frame(TEXT, b"{}", reserved=4), 1002),
    "an unknown opcode": (frame(3, b""), 1002),
    "an unknown control": (frame(0xB, b""), 1002),
    "continuation of nothing": (frame(CONTINUATION, b"x"), 1002),
    "a ping in parts": (frame(PING, b"x", fin=False), 1002),
    "a long ping": (frame(PING, b"x" * 126), 1002),
    "text inside text": (frame(TEXT, b"{", fin=False) + frame(TEXT, b"}"), 1002),
    "bytes": (frame(BINARY, b"\0\1\2"), 4400),
    "no UTF-8": (frame(TEXT, b"\xff\xfe{}"), 1007),
    "a surrogate": (frame(TEXT, b'"\xed\xa0\x80"'), 1007),
    "half a letter": (frame(TEXT, "é".encode()[:1]), 1007),
    "huge": (b"\x81\xff" + (2**62).to_bytes(8, "big"), 1009),
    "negative": (b"\x81\xff" + b"\xff" * 8, 1009),
    "a farewell with one byte": (frame(CLOSE, b"\x03"), 1002),
    "a farewell with no such code": (frame(CLOSE, (999).to_bytes(2, "big")), 1002),
    "a farewell that is no text": (frame(CLOSE, (1000).to_bytes(2, "big") + b"\xff"), 1007),
}


@pytest.mark.parametrize("hello", [True, False], ids=["after hello", "at once"])
@pytest.mark.parametrize("name", FRAMES)
def test_frames_that_are_none_end_the_connection(horde: Horde, name: str, hello: bool) -> None:
    sent, code = FRAMES[name]
    with RawWebSocket(horde.url) as peer:
        if hello:
            peer.init()
        peer.send(sent)
        assert peer.end().code in (code, None)
        with contextlib.suppress(OSError):
            peer.send(frame(CLOSE, b""))  # where it waits for our farewell
        assert closed(peer.socket, 2)


@pytest.mark.slow
def test_who_says_no_farewell_is_waited_for_ten_seconds(horde: Horde) -> None:
    sent, code = FRAMES["bytes"]
    with RawWebSocket(horde.url) as peer:
        peer.send(sent)
        assert peer.end().code == code
        assert closed(peer.socket, 12)


def test_a_message_in_parts_is_one_message_and_bounded_as_one(horde: Horde) -> None:
    with RawWebSocket(horde.url) as peer:
        text = json.dumps(INIT).encode()
        parts = [frame(CONTINUATION, bytes([byte]), fin=False) for byte in text[1:-1]]
        peer.send(frame(TEXT, text[:1], fin=False), frame(PING, b"between"), *parts)
        peer.send(frame(CONTINUATION, text[-1:]))
        assert peer.frame() == (PONG, b"between")
        assert peer.hear() == {"type": "connection_ack"}
        before = resident(horde.process)
        try:
            peer.send(frame(TEXT, b" " * 60_000, fin=False))
            for _ in range(2_000):
                peer.send(frame(CONTINUATION, b" " * 60_000, fin=False))
        except OSError:
            pass
        assert peer.end().code in (1009, None)
        assert resident(horde.process) - before < 10_000_000


def test_operations_before_hello_and_ids_in_use_end_the_connection(horde: Horde) -> None:
    with RawWebSocket(horde.url) as early:
        early.subscribe("1", "{ __typename }")
        assert early.end().code == 4401
    with RawWebSocket(horde.url) as twice:
        twice.init().subscribe("1", WATCH).subscribe("1", WATCH)
        assert twice.end().code == 4409
    with RawWebSocket(horde.url) as again:
        again.init()
        for _ in range(3):
            again.subscribe("1", WATCH).say({"type": "complete", "id": "1"})
        again.subscribe("1", "{ __typename }")
        assert again.hear() == {"id": "1", "type": "next", "payload": {"data": {"__typename": "Query"}}}
        for stranger in ("2", "", "x" * 90_000):
            again.say({"type": "complete", "id": stranger})
        again.say({"type": "complete"}).say({"type": "pong"}).say({"type": "ping"})
        assert again.hear() == {"id": "1", "type": "complete"}
        assert again.hear() == {"type": "pong"}


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ([], 4400),
        ("key", 4400),
        ({"authorization": "Basic x"}, 4403),
        ({"authorization": ["Bearer", "x"]}, 4403),
        ({"Authorization": "Bearer"}, 4403),
    ],
)
def test_credentials_that_are_none_end_the_connection(horde: Horde, payload: Any, code: int) -> None:
    with RawWebSocket(horde.url) as peer:
        peer.say({**INIT, "payload": payload})
        assert peer.end().code == code


@pytest.mark.parametrize("key", ["x" * 22, "\0", "é😀", "'--", " ", 1, {"a": 1}, "x" * 90_000])
def test_operations_of_a_wrong_key_are_refused_one_by_one(horde: Horde, key: Any) -> None:
    with RawWebSocket(horde.url) as peer:
        peer.init({"apikey": key}).subscribe("1", "{ __typename }").subscribe("2", WATCH)
        for _ in range(2):
            told = peer.hear()
            assert told["type"] == "error", told
            assert told["payload"][0]["extensions"]["code"] == "UNAUTHENTICATED"


def test_the_limit_of_operations_is_told_and_the_connection_goes_on(horde: Horde) -> None:
    with RawWebSocket(horde.url) as peer:
        peer.init()
        for number in range(130):
            peer.subscribe(str(number), WATCH)
        told = [peer.hear() for _ in range(30)]
        assert {each["payload"][0]["extensions"]["code"] for each in told} == {"LIMIT_SUBSCRIPTIONS"}
        peer.say({"type": "complete", "id": "0"}).subscribe("again", "{ __typename }")
        assert peer.hear()["id"] == "again"


def test_bad_documents_are_errors_of_their_operation(horde: Horde) -> None:
    with RawWebSocket(horde.url) as peer:
        peer.init()
        for number, document in enumerate(
            ("{", "{ nothing }", "{ a " * 900, "subscription { events { nothing } }", "")
        ):
            peer.subscribe(str(number), document)
            told = peer.hear()
            assert (told["type"], told["id"]) == ("error", str(number))
            assert told["payload"][0]["extensions"]["code"]


def test_a_flood_of_pings_that_nobody_reads_does_not_fill_the_server(horde: Horde) -> None:
    before = resident(horde.process)
    with RawWebSocket(horde.url) as peer:
        peer.init()
        flood = frame(PING, b"x" * 125) * 8_000
        sent, began = 0, time.monotonic()
        peer.socket.settimeout(2)
        try:
            while sent < 400_000_000 and time.monotonic() - began < 10:
                sent += peer.socket.send(flood)
        except OSError:
            pass  # it is not read from any more, or is gone
        # What the two kernels hold is not the server's.
        assert sent < 15_000_000
        assert resident(horde.process) - before < 5_000_000
        answers_promptly(horde)


def test_pings_of_the_protocol_that_nobody_reads_end_the_connection(horde: Horde) -> None:
    before = resident(horde.process)
    with RawWebSocket(horde.url) as peer:
        peer.init()
        flood = frame(TEXT, json.dumps({"type": "ping", "payload": "x" * 5_000}).encode()) * 20
        peer.socket.settimeout(3)
        try:
            for _ in range(2_000):
                peer.socket.sendall(flood)
        except OSError:
            pass
        assert resident(horde.process) - before < 60_000_000
        answers_promptly(horde)


def test_a_hundred_peers_that_break_off_leave_nothing(horde: Horde) -> None:
    for number in range(100):
        with RawWebSocket(horde.url) as peer:
            if number % 2:
                peer.init().subscribe("1", WATCH)
            if number % 3 == 0:
                peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    answers_promptly(horde)


def test_a_farewell_is_answered(horde: Horde) -> None:
    with RawWebSocket(horde.url) as peer:
        peer.init().subscribe("1", WATCH)
        peer.send(frame(CLOSE, (1000).to_bytes(2, "big")))
        assert peer.end() == Ended(1000, "")
        assert closed(peer.socket, 12)  # it waits ten seconds for our farewell
