"""HTTP as no decent client speaks it: every attempt is answered by a typed error or ends with a closed connection."""

import functools
import gzip
import json
import socket
import time
import zlib

import pytest

from tests.acceptance.horde import Horde
from tests.hostile.conftest import answers_promptly, resident
from tests.hostile.sockets import ACCEPT, closed, dial, exchange, head, post, read_reply

pytestmark = pytest.mark.usefixtures("nothing_happens")

QUERY = b'{"query": "{ __typename }"}'


@pytest.mark.parametrize(
    "media",
    [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/graphql",
        "application/xml",
        "application/jsonp",
        "application/json, text/plain",
        "*/*",
        ";charset=utf-8",
        "application/json; charset=latin-1",
        "application/json; charset=utf-16",
        "application/json; charset=utf-7",
        'application/json; charset="',
        "application/json; charset=utf-8; charset=latin-1",
        "a" * 60_000,
    ],
    ids=lambda media: media[:40],
)
def test_another_content_type_is_415(horde: Horde, media: str) -> None:
    reply = post(horde.url, QUERY, content_type=media)
    assert reply is not None
    assert (reply.status, reply.codes) == (415, ["UNSUPPORTED_MEDIA_TYPE"])


@pytest.mark.parametrize(
    "media", ["APPLICATION/JSON", "application/json;charset=UTF-8", ' application/json ; charset="utf8"']
)
def test_json_however_it_is_spelled_is_read(horde: Horde, media: str) -> None:
    reply = post(horde.url, QUERY, content_type=media)
    assert reply is not None
    assert reply.status == 200


@pytest.mark.parametrize(
    "accept", ["image/png", "text/html;q=0", "application/json;q=0", "x", ";;;", "q" * 60_000]
)
def test_what_accepts_no_answer_is_406(horde: Horde, accept: str) -> None:
    reply = post(horde.url, QUERY, accept=accept)
    assert reply is not None
    assert (reply.status, reply.codes) == (406, ["NOT_ACCEPTABLE"])


@functools.cache
def bomb() -> bytes:
    return gzip.compress(b'{"query": "' + b" " * 50_000_000 + b'{ __typename }"}')


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, gzip", "identity, gzip", "x"])
def test_a_compressed_body_is_not_unpacked(horde: Horde, encoding: str) -> None:
    body = zlib.compress(QUERY) if encoding == "deflate" else bomb()
    before = resident(horde.process)
    for _ in range(5):
        reply = post(horde.url, body[:90_000], content_encoding=encoding)
        assert reply is not None
        assert (reply.status, reply.codes) == (415, ["UNSUPPORTED_MEDIA_TYPE"])
    assert resident(horde.process) - before < 20_000_000


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "chunked"])
def test_a_body_that_is_too_large_is_413_and_not_kept(horde: Horde, declared: bool) -> None:
    size = 30_000_000
    before = resident(horde.process)
    with dial(horde.url) as connection:
        part = b" " * 1_000_000
        try:
            if declared:
                connection.sendall(head(horde.url, content_length=str(size)))
                for _ in range(size // len(part)):
                    connection.sendall(part)
            else:
                connection.sendall(head(horde.url, transfer_encoding="chunked"))
                for _ in range(size // len(part)):
                    connection.sendall(b"%x\r\n" % len(part) + part + b"\r\n")
                connection.sendall(b"0\r\n\r\n")
        except OSError:
            pass  # cut off: the answer may be there
        reply = read_reply(connection)
    assert reply is not None
    assert (reply.status, reply.codes) == (413, ["LIMIT_BODY"])
    assert resident(horde.process) - before < 20_000_000


def test_a_length_beyond_all_numbers_is_refused(horde: Horde) -> None:
    for length in ("9" * 15, "9" * 40, "-1", "0x10", "1e3", "+5", "5 5", "\u00b2"):
        reply = exchange(horde.url, head(horde.url, content_length=length) + QUERY)
        assert reply is None or reply.status in (400, 413), (length, reply)


def test_lengths_that_contradict_each_other_smuggle_nothing(horde: Horde) -> None:
    smuggled = b"POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nabcde"
    chunked = b"1b\r\n" + QUERY + b"\r\n0\r\n\r\n"
    for one in (
        head(horde.url, content_length="27", transfer_encoding="chunked") + chunked,
        head(horde.url, content_length="27", Content_Length="5") + QUERY,
        head(horde.url, transfer_encoding="chunked, identity") + chunked,
        head(horde.url, transfer_encoding="xchunked") + chunked,
        head(horde.url, transfer_encoding="chunked") + b"ffffffffffffffffffff\r\n",
        head(horde.url, transfer_encoding="chunked") + b"zz\r\n",
        head(horde.url, transfer_encoding="chunked") + b"-1\r\n",
    ):
        reply = exchange(horde.url, one + smuggled)
        assert reply is None or reply.status == 400, (one, reply)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\0" * 1_000,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 400,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0" * 100,
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET\r\n\r\n",
        b"get /graphql http/1.1\r\n\r\n",
        b"GET /graph\xffql HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /graphql?query=\xff\xfe HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET http://[::1/graphql HTTP/1.1\r\nhost: x\r\n\r\n",
        b"CONNECT 127.0.0.1:1 HTTP/1.1\r\nhost: x\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n",
        b"TRACE /graphql HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /graphql HTTP/1.1\r\nhost: x\r\nx\0y: 1\r\n\r\n",
        b"GET /graphql HTTP/1.1\r\nhost: x\r\nx: a\0b\r\n\r\n",
        b"GET /graphql HTTP/1.1\r\nhost: x\r\n x: folded\r\n\r\n",
        b"GET /graphql HTTP/1.1\r\nhost: x\r\nx: 1\nsmuggled: 1\r\n\r\n",
        b"GET /../../etc/passwd HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /graphql/static/..%2f..%2fhttp.py HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /%00 HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /graphql HTTP/1.1\r\nhost: x\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
        b"GET /graphql HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
        (
            b"GET /elsewhere HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            b"sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        ),
        b"GET /graphql HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
        b"sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        + b"a: b\r\n" * 300
        + b"\r\n",
        b"GET /graphql HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
        b"sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nsec-websocket-protocol: "
        + b"\xff" * 20
        + b"\r\n\r\n",
    ],
    ids=lambda garbage: repr(garbage[:60] + garbage[60:][-20:]),
)
def test_what_is_no_request_is_answered_by_4xx_or_a_closed_connection(horde: Horde, garbage: bytes) -> None:
    with dial(horde.url) as connection:
        connection.sendall(garbage)
        connection.shutdown(socket.SHUT_WR)
        reply = read_reply(connection)
    assert reply is None or 400 <= reply.status < 500, reply


def test_a_head_without_end_is_cut_off(horde: Horde) -> None:
    before = resident(horde.process)
    for endless in (
        (b"GET /" + b"a" * 60_000, b"a" * 1_000_000),
        (head(horde.url)[:-2] + b"x: ", b"a" * 1_000_000),
        (head(horde.url)[:-2], b"".join(b"x%d: y\r\n" % n for n in range(80_000))),
        (head(horde.url, transfer_encoding="chunked") + b"0\r\n", b"x: y\r\n" * 100_000),
        (head(horde.url, transfer_encoding="chunked") + b"1;", b"e" * 1_000_000),
    ):
        began, sent = time.monotonic(), 0
        with dial(horde.url) as connection:
            try:
                connection.sendall(endless[0])
                while sent < 200_000_000 and time.monotonic() - began < 10:
                    connection.sendall(endless[1])
                    sent += len(endless[1])
            except OSError:
                pass
        assert sent < 20_000_000, endless[0][:40]
        assert time.monotonic() - began < 5
    assert resident(horde.process) - before < 30_000_000


def test_a_head_as_long_as_allowed_is_read(horde: Horde) -> None:
    reply = exchange(horde.url, head(horde.url, content_length=str(len(QUERY)), x="a" * 100_000) + QUERY)
    assert reply is not None
    assert reply.status == 200
    # Bodies are no heads, however many come on one connection.
    body = json.dumps({"query": "{ __typename }" + " " * 90_000}).encode()
    with dial(horde.url) as connection:
        for _ in range(5):
            connection.sendall(head(horde.url, content_length=str(len(body))) + body)
            reply = read_reply(connection)
            assert reply is not None
            assert reply.status == 200


def test_requests_in_a_row_without_reading_are_cut_off(horde: Horde) -> None:
    one = head(horde.url, content_length=str(len(QUERY))) + QUERY
    before = resident(horde.process)
    with dial(horde.url) as connection:
        connection.sendall(one * 8)
        said = b""
        while said.count(b"__typename") < 8 and (part := connection.recv(65_536)):
            said += part
        assert said.count(b"HTTP/1.1 200") == 8
    for _ in range(3):
        with dial(horde.url, timeout=3) as connection:
            try:
                for _ in range(100):
                    connection.sendall(one * 1_000)
            except OSError:
                continue
            assert closed(connection, 5)
    assert resident(horde.process) - before < 30_000_000


def test_connections_that_end_in_the_middle_of_a_request_leave_nothing(horde: Horde) -> None:
    whole = head(horde.url, content_length=str(len(QUERY))) + QUERY
    for cut in range(0, len(whole), 7):
        with dial(horde.url) as connection:
            connection.sendall(whole[:cut])
            if cut % 2:
                connection.shutdown(socket.SHUT_WR)
            else:
                # A reset in place of a farewell.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    answers_promptly(horde)


def test_methods_and_queries_in_addresses(horde: Horde) -> None:
    path = "/graphql?query="
    cases = {
        "GET": (path + "mutation%7BregisterUser(input:%7Busername:%22x%22%7D)%7B__typename%7D%7D", 405),
        "GET ": (path + "%00", 400),
        "GET  ": (path + "%7B__typename%7D&variables=%7B%22a%22:%22%5Cu0000%22%7D", 200),
        "GET   ": (path + "%7B__typename%7D&variables=" + "%5B" * 20_000, 400),
        "GET    ": (path + "%7B__typename%7D&query=%7B", 400),
        "GET     ": ("/graphql?" + "a=b&" * 20_000, 400),
        "PUT": ("/graphql", 405),
        "DELETE": ("/graphql", 405),
        "PATCH": ("/graphql", 405),
        "HEAD": ("/graphql", 405),
    }
    for method, (where, status) in cases.items():
        reply = exchange(horde.url, head(horde.url, method.strip(), where, accept=ACCEPT, content_length="0"))
        assert reply is not None
        assert reply.status == status, (method, where[:60], reply)
