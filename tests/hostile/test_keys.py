"""Keys of strangers, of odd characters, and of other things: refused as unknown, and never taken for anonymous."""

import json

import pytest

from tests.acceptance.horde import Horde, User, read_job, refused, unique
from tests.acceptance.wires import Api
from tests.hostile.sockets import post

VIEWER = json.dumps({"query": "{ viewer { id } }"}).encode()

HEADERS = {
    "a stranger's": {"apikey": "A" * 22},
    "too short": {"apikey": "x"},
    "too long": {"apikey": "x" * 60_000},
    "latin letters": {"apikey": "schl\u00fcssel\u00ff"},
    "spaces inside": {"apikey": "a b\tc"},
    "a quote": {"apikey": "' OR '1'='1"},
    "a format": {"apikey": "%s%n{0}${jndi:x}"},
    "percent NUL": {"apikey": "%00"},
    "a dash": {"apikey": "-"},
    "the word": {"apikey": "anonymous"},
    "null": {"apikey": "null"},
    "no scheme": {"authorization": "A" * 22},
    "another scheme": {"authorization": "Basic YTpi"},
    "nothing after the scheme": {"authorization": "Bearer "},
    "two keys": {"authorization": "Bearer a b"},
    "a comma": {"authorization": "Bearer a, Bearer b"},
    "a stranger's as bearer": {"authorization": "Bearer " + "A" * 22},
    "a long scheme": {"authorization": "B" * 60_000 + " x"},
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_key_nobody_has_is_401(horde: Horde, name: str) -> None:
    reply = post(horde.url, VIEWER, **HEADERS[name])
    assert reply is not None
    assert (reply.status, reply.codes) == (401, ["UNAUTHENTICATED"])


def test_my_key_with_anything_changed_is_nobodys(horde: Horde, alice: User) -> None:
    key = alice.key
    changed = (key[:-1], key + "=", key + "A", key.swapcase(), key[::-1], f"{key},{key}", f"\u00a0{key}")
    for one in changed:
        assert one != key
        reply = post(horde.url, VIEWER, apikey=one)
        assert reply is not None
        assert reply.status == 401, one
    reply = post(horde.url, VIEWER, apikey=key)
    assert reply is not None
    assert reply.status == 200


def test_other_secrets_are_no_keys(horde: Horde, alice: User, bob: User, model: str) -> None:
    """Ids, access keys and leases are not taken where a key is wanted, nor each for another."""
    job = alice.submit(models=[model])
    other = bob.submit(models=[unique("nobody")])
    taken = bob.worker(model).take()
    for no_key in (alice.id, alice.alias, job.id, job.access_key, taken["leaseId"]):
        reply = post(horde.url, VIEWER, apikey=no_key)
        assert reply is not None
        assert reply.status == 401
    for no_access_key in (
        other.access_key,
        alice.key,
        bob.key,
        taken["leaseId"],
        job.id,
        "",
        "\0",
        "x" * 50_000,
    ):
        assert read_job(bob.api, job.id, no_access_key) is None
        assert read_job(horde.anonymous, job.id, no_access_key) is None
        with refused("NOT_FOUND"):
            Api(horde.url).call(
                "cancelJob",
                "... on CancelJobSuccess { position }",
                {"id": job.id, "accessKey": no_access_key},
            )
    assert job.now()["state"] == "PROCESSING"


def test_leases_are_not_to_be_guessed(horde: Horde, alice: User, bob: User, model: str) -> None:
    alice.submit(models=[model])
    taken = bob.worker(model).take()
    mallory = horde.register("mallory").worker(model)
    before = horde.quiet()
    lease = taken["leaseId"]
    head, tail = lease[:-1], lease[-1]
    forged = [f"{head}{digit}" for digit in "0123456789abcdef" if digit != tail]
    forged += [
        lease.upper(),
        lease.replace("-", ""),
        f"{{{lease}}}",
        f"urn:uuid:{lease}",
        f" {lease}",
        f"{lease}\0",
    ]
    for one in [*forged, lease]:
        for attempt in (mallory.extend, mallory.release):
            with refused("NOT_FOUND", "input", "leaseId"):
                attempt(one)
    for one in forged[:15]:
        with refused("NOT_FOUND", "input", "leaseId"):
            bob.worker(model).report(
                one, {"generationId": taken["generations"][0]["id"], "state": "CENSORED"}
            )
    assert horde.quiet() == before
