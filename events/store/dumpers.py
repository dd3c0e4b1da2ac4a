"""How psycopg sends and reads what we store: packed arrays as they are, with their array type's oid; JSON by msgspec.

Registers when it is imported, which `events.store.log` does for everybody who has a connection. Look next:
`events.store.arrays`.
"""

from __future__ import annotations

import msgspec
import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format
from psycopg.types.json import set_json_loads

from events.store.arrays import Packed


class _PackedDumper(Dumper):
    """What is packed is dumped already."""

    format = Format.BINARY

    def dump(self, obj: Packed) -> Packed:
        """The array as it is."""
        return obj


for kind in Packed.__subclasses__():
    psycopg.adapters.register_dumper(
        kind, type(f"{kind.__name__}Dumper", (_PackedDumper,), {"oid": kind.array})
    )

set_json_loads(msgspec.json.decode)
