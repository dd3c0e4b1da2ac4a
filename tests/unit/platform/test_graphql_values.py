"""Scalars, nulls, cursors, addresses, Accept headers and the schema's text."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from graphql import GraphQLError, build_schema
from hypothesis import given
from hypothesis import strategies as st

from app.platform.graphql.connections import build_page, decode_cursor, encode_cursor, page_size
from app.platform.graphql.context import client_address, key_of
from app.platform.graphql.scalars import (
    MAX_KUDOS,
    SCALAR_MAP,
    Kudos,
    format_datetime,
    format_kudos,
    parse_datetime,
    parse_kudos,
    parse_position,
)
from app.platform.graphql.schema_tools import breaking_changes, difference, print_sdl, undescribed
from app.platform.graphql.top_level import ApiError
from app.platform.graphql.wire import accepted, is_json
from tests.graphql_toy import toy_schema


@given(st.integers(-MAX_KUDOS, MAX_KUDOS))
def test_kudos_survive_the_way_out_and_in(amount):
    assert parse_kudos(format_kudos(amount)) == amount


@given(st.integers(-9_999_999, 9_999_999))
def test_kudos_as_a_json_number_with_two_places_are_exact(amount):
    assert parse_kudos(amount / 100) == amount


@pytest.mark.parametrize(
    ("value", "amount"),
    [
        ("12.34", 1234),
        ("-50.00", -5000),
        ("-0.05", -5),
        ("3.1", 310),
        (7, 700),
        (-7, -700),
        (2.5, 250),
        (Decimal("1.25"), 125),
        ("9000000000000.00", MAX_KUDOS),
        ("-0", 0),
    ],
)
def test_kudos_are_read(value, amount):
    assert parse_kudos(value) == amount


@pytest.mark.parametrize(
    "value",
    [
        "1.234",
        "",
        ".5",
        "5.",
        "1e3",
        " 1",
        "+1",
        "٣",
        "9000000000000.01",
        "1,000",
        True,
        None,
        0.001,
        1e20,
        [],
    ],
)
def test_other_kudos_are_refused_naming_the_bound(value):
    with pytest.raises(GraphQLError, match=r"9000000000000\.00"):
        parse_kudos(value)


def test_a_float_inside_never_leaves_as_kudos():
    serialize = SCALAR_MAP[Kudos].serialize
    assert serialize is not None
    with pytest.raises(TypeError):
        serialize(1.5)


@pytest.mark.parametrize("value", ["-1", "1.0", "x", "", True, None, "9223372036854775808"])
def test_other_positions_are_refused(value):
    with pytest.raises(GraphQLError):
        parse_position(value)
    assert parse_position("42") == parse_position(42) == 42


def test_instants_need_an_offset():
    instant = datetime(2030, 1, 31, 12, tzinfo=UTC)
    assert parse_datetime("2030-01-31T14:00:00+02:00") == instant
    assert parse_datetime("2030-01-31T12:00:00Z") == instant
    assert format_datetime(parse_datetime("2030-01-31T14:00:00+02:00")) == "2030-01-31T12:00:00+00:00"
    for value in ("2030-01-31T14:00:00", "soon", 5, None):
        with pytest.raises(GraphQLError):
            parse_datetime(value)
    with pytest.raises(ValueError, match="naive"):
        format_datetime(datetime(2030, 1, 1))  # noqa: DTZ001


def test_pages_are_from_1_to_100():
    assert (page_size(None), page_size(None, 100), page_size(1), page_size(100)) == (20, 100, 1, 100)
    for first in (0, -1, 101):
        with pytest.raises(ApiError, match="from 1 to 100"):
            page_size(first)


@given(st.tuples(st.integers(0, 2**63 - 1), st.text(st.characters(exclude_characters="\0"), max_size=40)))
def test_cursors_hold_any_key_that_the_database_could(key):
    assert decode_cursor(encode_cursor(key), tuple[int, str]) == key


@pytest.mark.parametrize(
    "cursor", ["", "x", "é", "WzFd!", encode_cursor(("x",)), encode_cursor((1, 2)), encode_cursor((2**63,))]
)
def test_foreign_cursors_are_refused(cursor):
    with pytest.raises(ApiError, match="not a cursor"):
        decode_cursor(cursor, tuple[int])


def test_a_page_knows_whether_more_follows():
    def page(rows, after=None):
        return build_page(rows, 2, key=lambda row: (row,), edge=lambda cursor, row: row, after=after)

    edges, info = page([1, 2, 3])
    assert (edges, info.has_next_page, info.has_previous_page) == ([1, 2], True, False)
    assert decode_cursor(info.end_cursor, tuple[int]) == (2,)
    edges, info = page([3], after=info.end_cursor)
    assert (edges, info.has_next_page, info.has_previous_page) == ([3], False, True)
    assert page([])[1].start_cursor is None


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("192.0.2.7", None, "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", None, "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", None, "192.0.2.7"),
        ("fe80::1%eth0", None, "fe80::/64"),
        ("10.0.0.1", "6.6.6.6, 192.0.2.9", "192.0.2.9"),
        ("10.0.0.1", "192.0.2.9:5123", "192.0.2.9"),
        ("10.0.0.1", "[2001:db8::5]:80", "2001:db8::/64"),
        ("10.0.0.1", "nonsense", "10.0.0.1"),
        ("", None, ""),
    ],
)
def test_addresses(peer, forwarded, address):
    assert client_address(peer, forwarded) == address


def test_keys():
    assert key_of({}) is None
    assert key_of({"apikey": "k"}) == "k"
    assert key_of({"authorization": "bearer  k "}) == "k"
    for header in ("Basic k", "k", "Bearer "):
        with pytest.raises(ApiError):
            key_of({"authorization": header})


@pytest.mark.parametrize(
    ("header", "json_type", "events_first", "html_first"),
    [
        ("", "application/json", False, False),
        ("*/*", "application/json", False, False),
        ("application/graphql-response+json, application/json;q=0.9", "R", False, False),
        ("application/json;q=0.5, application/graphql-response+json;q=0.9", "R", False, False),
        ("text/event-stream", None, True, False),
        ("application/json, text/event-stream;q=0.9", "application/json", False, False),
        ("text/event-stream;q=0.1, application/json", "application/json", False, False),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "application/json", False, True),
        ("image/png", None, False, False),
        ("application/json;q=0", None, False, False),
        ("application/json;q=x", None, False, False),
    ],
)
def test_accept_headers(header, json_type, events_first, html_first):
    found = accepted(header)
    expected = "application/graphql-response+json" if json_type == "R" else json_type
    assert (found.json_type, found.events_first, found.html_first) == (expected, events_first, html_first)


def test_content_types():
    assert is_json("application/json")
    assert is_json('Application/JSON; charset="UTF-8"')
    for header in ("", "text/plain", "application/json; charset=latin-1", "application/graphql"):
        assert not is_json(header)


def test_the_schema_is_printed_sorted_and_compared(tmp_path):
    schema, committed = toy_schema(), tmp_path / "schema.graphql"
    text = print_sdl(schema)
    assert text.index("type Book ") < text.index("type Query ")
    assert "+type Query" in difference(schema, committed)
    committed.write_text(text, encoding="utf-8")
    assert difference(schema, committed) == ""
    changed = text.replace('"""Its title."""\n  title: String!', '"""Its title."""\n  name: String!')
    assert breaking_changes(text, text) == []
    assert any("Book.title" in each for each in breaking_changes(text, changed))


def test_every_part_of_a_schema_wants_a_description():
    assert undescribed(toy_schema()) == []
    bare = 'type Query { a(b: Int): E } enum E { X } input I { y: Int } "d" scalar S'
    assert undescribed(build_schema(bare)) == ["E", "E.X", "I", "I.y", "Query", "Query.a", "Query.a(b:)"]
