"""Packed arrays are what psycopg itself would send."""

from datetime import UTC
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.adapt import Transformer
from psycopg.pq import Format

from events.store import dumpers
from events.store.arrays import PACK, Packed

_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "bigint": st.integers(-(2**63), 2**63 - 1),
    "boolean": st.booleans(),
    "text": st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0")),
    "double precision": st.floats(allow_nan=False),
    "bytea": st.binary(),
    "uuid": st.uuids(),
    "timestamptz": st.datetimes(timezones=st.just(UTC)),
}


def _loaded(packed: bytes) -> list[Any]:
    """What psycopg reads from an array parameter."""
    assert isinstance(packed, Packed)
    value: list[Any] = Transformer().get_loader(packed.array, Format.BINARY).load(packed)
    return value


@pytest.mark.parametrize("kind", PACK)
@given(data=st.data())
def test_psycopg_reads_what_was_packed(kind: str, data: st.DataObject):
    values = data.draw(st.lists(st.none() | _VALUES[kind], max_size=20))
    assert _loaded(PACK[kind](values)) == values


@pytest.mark.parametrize("kind", PACK)
def test_packed_arrays_are_parameters_of_their_type(kind: str):
    packed = PACK[kind]([])
    assert isinstance(packed, Packed)
    dumper = psycopg.adapters.get_dumper(type(packed), psycopg.adapt.PyFormat.BINARY)
    assert issubclass(dumper, dumpers.Dumper)
    assert (dumper.oid, dumper(type(packed), None).dump(packed)) == (packed.array, packed)


def test_numbers_beyond_64_bits_are_refused():
    with pytest.raises(Exception, match=r"int|format"):
        PACK["bigint"]([2**63])


def test_one_null_among_uuids():
    assert _loaded(PACK["uuid"]([UUID(int=1), None])) == [UUID(int=1), None]
