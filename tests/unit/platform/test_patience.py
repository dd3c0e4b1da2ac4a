"""Bounds that must fit together: who reads too slowly is told so before the socket itself gives up."""

from app.platform.graphql.context import TransportOptions
from app.platform.protocols import READING_SECONDS


def test_slow_readers_are_told_before_their_sockets_are_dropped():
    options = TransportOptions()
    assert 2 * options.sse_write_seconds < READING_SECONDS
    assert options.ws_write_seconds + options.ws_close_seconds < READING_SECONDS
