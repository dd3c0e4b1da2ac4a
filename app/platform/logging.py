"""Process logs: one JSON object a line, a static event name and ids; never words of clients, keys or addresses.

Library loggers that might print a query, a URL or an address are held at warnings. Look next: `app.main`.
"""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import Any

import msgspec

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_QUIET = (
    "uvicorn.access",
    "aiohttp",
    "urllib3",
    "psycopg.pool",
    "psycopg",
    "dramatiq",
    "limits",
    "websockets",
    "alembic",
)


class JsonFormatter(logging.Formatter):
    """A log record as a JSON object with its extras; exceptions by class and places, never by message."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "event": record.getMessage(),
        }
        line.update({name: str(value) for name, value in vars(record).items() if name not in _STANDARD})
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = record.exc_info[0].__name__
            line["trace"] = _places(record.exc_info[2])
        return msgspec.json.encode(line).decode()


def _places(trace: Any) -> list[str]:
    """File and line of each frame: enough to find the fault, nothing of what it was about."""
    places = []
    while trace is not None:
        code = trace.tb_frame.f_code
        places.append(f"{'/'.join(code.co_filename.split('/')[-3:])}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return places[-12:]


def configure_logging(level: str) -> None:
    """Send everything to standard error as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
