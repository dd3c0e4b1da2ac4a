"""Signatures by the Standard Webhooks specification: HMAC-SHA-256 over id, time and body. Pure.

Look next: `app.webhooks.post`; docs/webhooks.md for how receivers check them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence


def signed_headers(delivery: str, timestamp: int, body: bytes, secrets: Sequence[bytes]) -> dict[str, str]:
    """The three headers of a delivery.

    Args:
        delivery: its id, the same at every attempt.
        timestamp: of this attempt, in seconds since 1970.
        body: what is sent.
        secrets: the present one, then others that are still good.
    """
    signed = f"{delivery}.{timestamp}.".encode() + body
    signatures = (base64.b64encode(hmac.digest(each, signed, hashlib.sha256)).decode() for each in secrets)
    return {
        "webhook-id": delivery,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{each}" for each in signatures),
    }
