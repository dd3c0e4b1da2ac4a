"""Nobody takes the server for themselves: registrations and requests are limited, and say when to come again."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.acceptance.horde import Horde
from tests.acceptance.processes import ApiProcess
from tests.acceptance.wires import Api

REGISTER = (
    "mutation($input: RegisterUserInput!) { registerUser(input: $input) { __typename "
    "... on RegisterUserSuccess { apiKey } ... on UserError { code message } ... on TryAgain { retryAfterSeconds } } }"
)


@pytest.fixture(scope="module")
def limited(horde: Horde, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    """An API process that limits, behind one proxy, so that a test may come from any address."""
    given = {**horde.variables, "HOARD_RATE_LIMITS": "true", "HOARD_TRUSTED_PROXY": "true"}
    process = ApiProcess(tmp_path_factory.mktemp("limited") / "api.log", given).wait()
    yield process
    process.stop()


def at(process: ApiProcess, address: str, key: str | None = None) -> Api:
    return Api(process.url, key, {"X-Forwarded-For": address})


def test_an_address_cannot_register_without_end(limited: ApiProcess) -> None:
    here, there = at(limited, "192.0.2.1"), at(limited, "192.0.2.2")
    for number in range(400):
        result = here.ask(REGISTER, input={"username": f"n{number}", "idempotencyKey": str(uuid4())})[
            "registerUser"
        ]
        if result["__typename"] == "TryAgain":
            break
    assert result["code"] == "TRY_AGAIN"
    assert 0 < result["retryAfterSeconds"] <= 60
    assert number >= 5
    assert (
        there.ask(REGISTER, input={"username": "other"})["registerUser"]["__typename"]
        == "RegisterUserSuccess"
    )


def test_a_household_of_ipv6_addresses_is_one(limited: ApiProcess) -> None:
    for number in range(400):
        api = at(limited, f"2001:db8:1:2::{number:x}")
        result = api.ask(REGISTER, input={"username": f"n{number}"})["registerUser"]
        if result["__typename"] == "TryAgain":
            break
    assert result["__typename"] == "TryAgain"
    elsewhere = at(limited, "2001:db8:1:3::1")
    assert elsewhere.ask(REGISTER, input={"username": "other"})["registerUser"]["__typename"] != "TryAgain"


def test_too_many_new_documents_are_answered_with_429_and_when_to_come_again(limited: ApiProcess) -> None:
    api = at(limited, "192.0.2.3")
    for number in range(2_000):
        answer = api.post(f"query Q{number} {{ viewer {{ id }} }}")
        if answer.status != 200:
            break
    assert (answer.status, answer.codes) == (429, ["RATE_LIMITED"])
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert 0 < answer.body["errors"][0]["extensions"]["retryAfter"] <= 60
    assert at(limited, "192.0.2.4").post("query Q0 { viewer { id } }").status == 200


def test_an_address_cannot_be_invented_without_a_trusted_proxy(horde: Horde, tmp_path: object) -> None:
    """The main server trusts none, so the header changes nothing there (its limits are off: it must just not fail)."""
    api = Api(horde.url, headers={"X-Forwarded-For": "not an address, 1.2.3.4"})
    assert api.post("{ viewer { id } }").status == 200
