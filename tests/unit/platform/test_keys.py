"""Keys: their shape, and that what is kept of them depends on the pepper."""

import hashlib
import hmac
from uuid import UUID

from app.platform.keys import (
    ANONYMOUS_KEY,
    KEY_LENGTH,
    access_key,
    is_api_key,
    key_hash,
    matches,
    new_api_key,
)

PEPPER = "a pepper of some length"
JOB = UUID("00000000-0000-4000-8000-000000000001")


def test_new_keys_are_22_url_safe_characters_and_all_different():
    keys = {new_api_key() for _ in range(200)}
    assert len(keys) == 200
    assert all(is_api_key(key) and len(key) == KEY_LENGTH for key in keys)


def test_what_is_no_key():
    for text in (ANONYMOUS_KEY, "", "a" * 21, "a" * 23, "a" * 21 + "/", "a" * 21 + "é", "a" * 22 + "\n"):
        assert not is_api_key(text)


def test_a_hash_is_the_hmac_with_the_pepper():
    key = new_api_key()
    assert key_hash(PEPPER, key) == hmac.new(PEPPER.encode(), key.encode(), hashlib.sha256).digest()
    assert key_hash(PEPPER, key) != key_hash(PEPPER + "x", key)


def test_an_access_key_follows_from_job_and_pepper():
    key = access_key(PEPPER, JOB)
    assert is_api_key(key)
    assert key == access_key(PEPPER, JOB)
    assert key != access_key(PEPPER + "x", JOB)
    assert key != access_key(PEPPER, UUID(int=2))
    # An API key of the same text as the message must not open the job.
    assert matches(key, access_key(PEPPER, JOB))
    assert not matches(key, key[:-1])
    assert not matches(key, "é")
