"""Somebody opens an account, is known by its key, gives kudos away and reads where they went."""

import re
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from uuid import uuid4

import pytest

from tests.acceptance.horde import STATEMENT, Horde, User, refused, registration, submit
from tests.acceptance.wires import Refusal

ME = "{ viewer { id username kudos held } }"


def test_i_register_and_get_my_key_once(horde: Horde) -> None:
    api, key = horde.anonymous, str(uuid4())
    first = registration(api, "Zoë", key)
    again = registration(api, "Zoë", key)
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", first["apiKey"])
    assert re.fullmatch(r"Zoë#[0-9]+", first["user"]["username"])
    assert first["user"]["kudos"] == first["user"]["held"] == "0.00"
    assert again["apiKey"] is None
    assert (again["user"]["id"], again["position"]) == (first["user"]["id"], first["position"])


def test_the_same_key_for_another_wish_is_a_conflict(horde: Horde) -> None:
    api, key = horde.anonymous, str(uuid4())
    registration(api, "one", key)
    with refused("IDEMPOTENCY_CONFLICT", "input", "idempotencyKey"):
        registration(api, "two", key)


def test_without_an_account_my_idempotency_key_must_be_a_uuid(horde: Horde) -> None:
    with refused("INVALID_INPUT", "input", "idempotencyKey"):
        registration(horde.anonymous, "one", "guess me")


@pytest.mark.parametrize("name", ["", " ", "a#1", "x" * 31, " a", "a ", "a\nb", "a\u202eb", "a\0b"])
def test_a_name_that_could_mislead_is_refused(horde: Horde, name: str) -> None:
    with refused("INVALID_INPUT", "input", "username"):
        registration(horde.anonymous, name)


def test_two_people_may_want_the_same_name(horde: Horde) -> None:
    assert horde.register("twin").alias != horde.register("twin").alias


def test_my_key_works_in_either_header(horde: Horde, alice: User) -> None:
    for headers in (
        {"apikey": alice.key},
        {"Authorization": f"Bearer {alice.key}"},
        {"authorization": f"bearer {alice.key}"},
    ):
        assert horde.api(**headers).ask(ME)["viewer"]["id"] == alice.id


def test_a_wrong_key_is_refused_and_never_taken_for_anonymous(horde: Horde) -> None:
    for headers in (
        {"apikey": "A" * 22},
        {"apikey": "x"},
        {"Authorization": "Bearer nobody"},
        {"Authorization": "Basic abc"},
        {"Authorization": "Bearer"},
    ):
        answer = horde.api(**headers).post(ME)
        assert (answer.status, answer.codes) == (401, ["UNAUTHENTICATED"]), headers
        assert answer.headers["www-authenticate"] == "Bearer"


def test_without_a_key_i_am_anonymous(horde: Horde) -> None:
    for api in (horde.anonymous, horde.api("0000000000")):
        me = api.ask(ME)["viewer"]
        assert (me["username"], me["kudos"], me["held"]) == ("Anonymous#0", "-50.00", "0.00")


def test_i_give_kudos_once_however_often_i_say_so(horde: Horde, alice: User, bob: User) -> None:
    """Features 150, 151."""
    first = alice.transfer(bob.alias, "12.34", "my key")
    again = alice.transfer(bob.alias, "12.34", "my key")
    assert first["position"] == again["position"]
    assert (alice.kudos, bob.kudos) == (Decimal("987.66"), Decimal("12.34"))
    assert first["amount"] == "12.34"
    assert first["from"] == {"id": alice.id, "kudos": "987.66"}
    with refused("IDEMPOTENCY_CONFLICT", "input", "idempotencyKey"):
        alice.transfer(bob.alias, "12.35", "my key")
    bob.transfer(alice.alias, "1", "my key")  # another's key of the same text is another key


def test_a_transfer_that_cannot_be_is_refused_for_its_first_reason(
    horde: Horde, alice: User, bob: User
) -> None:
    before = horde.quiet()
    nobody = User("", "", "", horde.anonymous)
    with refused("NOT_FOUND", "input", "to"):
        alice.transfer("nobody#1", "1")
    with refused("NOT_FOUND", "input", "to"):
        alice.transfer(alice.alias.replace("alice", "alicia"), "1")
    with refused("FORBIDDEN"):
        nobody.transfer(alice.alias, "1")
    with refused("INVALID_INPUT", "input", "to"):
        alice.transfer("Anonymous#0", "-1")
    with refused("INVALID_INPUT", "input", "to"):
        alice.transfer(alice.alias, "-1")
    for amount in ("0", "-1", "0.00", "-0.01"):
        with refused("INVALID_INPUT", "input", "amount"):
            alice.transfer(bob.alias, amount)
    with refused("INSUFFICIENT_KUDOS", "input", "amount") as poor:
        alice.transfer(bob.alias, "1000.01")
    assert {name: poor.result[name] for name in ("required", "available", "missing")} == {
        "required": "1000.01",
        "available": "1000.00",
        "missing": "0.01",
    }
    assert horde.position() == before
    alice.transfer(bob.alias, "1000.00")
    assert alice.kudos == 0


def test_what_is_held_for_my_jobs_cannot_be_given_away(alice: User, bob: User, model: str) -> None:
    job = alice.submit(models=[model], params={"n": 2})
    quote = Decimal(job.job["quote"]["total"])
    assert Decimal(alice.me()["held"]) == quote
    with refused("INSUFFICIENT_KUDOS", "input", "amount") as poor:
        alice.transfer(bob.alias, str(1000 - quote + Decimal("0.01")))
    assert poor.result["missing"] == "0.01"
    alice.transfer(bob.alias, str(1000 - quote))
    job.cancel()
    assert alice.me()["held"] == "0.00"


def test_twenty_transfers_at_once_never_overdraw(horde: Horde, bob: User) -> None:
    carol = horde.register("carol", "100")

    def give(_: int) -> bool:
        try:
            carol.transfer(bob.alias, "9.99")
        except Refusal as refusal:
            assert refusal.code == "INSUFFICIENT_KUDOS"  # noqa: PT017 - the accepted ones are counted
            return False
        return True

    with ThreadPoolExecutor(20) as pool:
        done = sum(pool.map(give, range(20)))
    assert done == 10
    assert (carol.kudos, bob.kudos) == (Decimal("0.10"), Decimal("99.90"))


def test_my_statement_explains_every_hundredth(horde: Horde, alice: User, bob: User, model: str) -> None:
    alice.transfer(bob.alias, "5")
    alice.submit(models=[model], params={"n": 2})
    bob.worker(model).serve(amount=2)
    poor = horde.register("poor", "1")
    own = poor.submit(models=[model])
    bob.worker(model).serve()
    assert own.now()["state"] == "DONE"
    for user in (alice, bob, poor):
        lines = user.statement()
        assert sum(Decimal(line["amount"]) for line in lines) == user.kudos
        balance = Decimal(0)
        for line in reversed(lines):
            balance += Decimal(line["amount"])
            assert Decimal(line["balance"]) == balance
            assert sum(Decimal(item["amount"]) for item in line["breakdown"]) == Decimal(line["amount"])
            assert line["reason"]
            assert all(item["label"] for item in line["breakdown"])
        assert [int(line["position"]) for line in lines] == sorted(
            (int(x["position"]) for x in lines), reverse=True
        )
    covered = poor.statement()[0]
    assert "covered by the floor" in covered["breakdown"][-1]["label"]
    assert covered["job"]["id"] == own.id
    assert poor.kudos == 0
    assert poor.me()["consumed"] == own.now()["charged"] == own.job["quote"]["total"]
    assert bob.statement()[0]["job"] is None, "a worker's owner learns nothing of the job"


def test_i_page_through_my_statement_and_my_jobs(alice: User, bob: User, model: str) -> None:
    for cents in range(1, 6):
        alice.transfer(bob.alias, f"0.0{cents}")
    jobs = [alice.submit(models=[model]).id for _ in range(5)]
    seen, after, pages = [], None, 0
    while True:
        page = alice.api.ask(STATEMENT, first=2, after=after)["viewer"]["statement"]
        assert page["pageInfo"]["hasPreviousPage"] is (after is not None)
        seen += [edge["node"]["position"] for edge in page["edges"]]
        assert page["pageInfo"]["endCursor"] == page["edges"][-1]["cursor"]
        pages += 1
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = page["pageInfo"]["endCursor"]
    assert (len(seen), len(set(seen)), pages) == (6, 6, 3)
    document = """query($first: Int, $after: String, $state: JobState) { viewer {
        jobs(first: $first, after: $after, state: $state) {
            edges { cursor node { id state } } pageInfo { hasNextPage endCursor } } } }"""
    first = alice.api.ask(document, first=3)["viewer"]["jobs"]
    second = alice.api.ask(document, first=3, after=first["pageInfo"]["endCursor"])["viewer"]["jobs"]
    found = [edge["node"]["id"] for edge in first["edges"] + second["edges"]]
    assert found == jobs[::-1]
    assert (first["pageInfo"]["hasNextPage"], second["pageInfo"]["hasNextPage"]) == (True, False)
    assert alice.api.ask(document, state="DONE")["viewer"]["jobs"]["edges"] == []
    assert len(alice.api.ask(document, state="WAITING")["viewer"]["jobs"]["edges"]) == 5


@pytest.mark.parametrize(
    "after",
    ["", "x", "W10", "WyJhIl0", "é", "AAAA" * 5000, "WzFlOTksMF0", "Wzk5OTk5OTk5OTk5OTk5OTk5OTk5LDBd"],
)
def test_a_cursor_that_is_none_is_said_to_be_none(alice: User, after: str) -> None:
    answer = alice.api.post(STATEMENT, {"first": 2, "after": after})
    assert answer.codes == ["INVALID_ARGUMENT"], answer


@pytest.mark.parametrize("first", [0, -1, 101, 2**31 - 1])
def test_a_page_has_1_to_100_rows(alice: User, first: int) -> None:
    assert alice.api.post(STATEMENT, {"first": first}).codes in (["INVALID_ARGUMENT"], ["LIMIT_COST"])


def test_anonymous_callers_see_no_jobs_of_each_other(horde: Horde, model: str) -> None:
    submit(horde.anonymous, models=[model])
    assert (
        horde.anonymous.ask("{ viewer { jobs { edges { node { id } } } } }")["viewer"]["jobs"]["edges"] == []
    )


def test_nobody_can_be_looked_up_by_the_ids_in_the_public_log(alice: User, bob: User) -> None:
    document = "query($id: ID!) { node(id: $id) { id ... on User { username kudos } } }"
    assert alice.api.ask(document, id=bob.id)["node"] is None
    assert alice.api.ask(document, id=alice.id)["node"]["username"] == alice.alias
