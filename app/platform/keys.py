"""API keys and the access keys of jobs: how they are made, kept and compared. A key itself is stored nowhere.

Nothing here may log, store or show a key in an error. Look next: `app.platform.vault` (`ApiKey`, what is kept of
a key), `app.accounts.people` (who it belongs to).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from typing import Final
from uuid import UUID

#: The public key of the anonymous user. It has no row in the vault: whoever shows it is anonymous.
ANONYMOUS_KEY: Final = "0000000000"

#: Characters of a key: 16 random bytes in url-safe base64.
KEY_LENGTH: Final = 22

_KEY = re.compile(rf"[A-Za-z0-9_-]{{{KEY_LENGTH}}}")


def new_api_key() -> str:
    """A new random API key: 22 url-safe characters, 128 bits."""
    return secrets.token_urlsafe(16)


def is_api_key(text: str) -> bool:
    """Whether a text has the shape of an API key."""
    return _KEY.fullmatch(text) is not None


def key_hash(pepper: str, key: str) -> bytes:
    """What the vault keeps of an API key: the 32 bytes of its HMAC-SHA-256 with the pepper."""
    return _hmac(pepper, key)


def access_key(pepper: str, job_id: UUID) -> str:
    """The key that opens one job to whoever submitted it: 22 url-safe characters that follow from the job's id.

    It is computed and never stored, so a repeated submission can answer with it again.
    """
    digest = _hmac(pepper, f"job-access:{job_id}")
    return base64.urlsafe_b64encode(digest).decode()[:KEY_LENGTH]


def webhook_secret(pepper: str, webhook: UUID, rotations: int = 0) -> bytes:
    """The 32 bytes that what a webhook is told is signed with; they follow from its id and how often they were rotated.

    They are computed and never stored: a copy of the database forges nothing.
    """
    return _hmac(pepper, f"webhook:{webhook}:{rotations}")


def network_id(pepper: str, address: str) -> UUID:
    """An id that follows from a client's network, an IPv4 address's /24 or an IPv6 /64, and tells nobody which it is."""
    network = address.rpartition(".")[0] if ":" not in address else address
    return UUID(bytes=_hmac(pepper, f"network:{network}")[:16], version=5)


def matches(expected: str, given: str) -> bool:
    """Whether two keys are the same, in a time that does not say where they differ."""
    return hmac.compare_digest(expected.encode(), given.encode())


def _hmac(pepper: str, message: str) -> bytes:
    return hmac.new(pepper.encode(), message.encode(), hashlib.sha256).digest()
