"""The public log: anybody reads all of it, page by page or live, and proves it whole with a few lines of their own."""

import hashlib
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from tests.acceptance.horde import EVENT, EVENTS, Horde, User, register
from tests.acceptance.processes import ApiProcess, run_cli
from tests.acceptance.wires import Api

FOLLOW = f"subscription($after: Position, $types: [String!]) {{ events(after: $after, types: $types) {{ {EVENT} }} }}"


@pytest.fixture(scope="module")
def second(horde: Horde, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    """Another API process on the same log."""
    process = ApiProcess(tmp_path_factory.mktemp("second") / "api.log", horde.variables).wait()
    yield process
    process.stop()


def test_positions_are_dense_from_1_and_time_never_runs_backwards(horde: Horde, alice: User) -> None:
    events = horde.events()
    assert [int(event["position"]) for event in events] == list(range(1, len(events) + 1))
    instants = [event["occurredAt"] for event in events]
    assert instants == sorted(instants)
    assert len({event["id"] for event in events}) == len(events)
    assert events[0]["type"] == "accounts.AnonymousOpened"
    assert all(event["stream"] and len(event["hash"]) == 64 for event in events)


def test_anybody_pages_through_it_in_order(horde: Horde, alice: User) -> None:
    api = horde.anonymous
    first = api.ask(EVENTS, first=3)["events"]
    second = api.ask(EVENTS, first=3, after=first["pageInfo"]["endCursor"])["events"]
    places = [edge["node"]["position"] for edge in first["edges"] + second["edges"]]
    assert places == ["1", "2", "3", "4", "5", "6"]
    assert [edge["cursor"] for edge in first["edges"]] == places[:3], "a cursor of the log is a position"
    assert (first["pageInfo"]["hasPreviousPage"], second["pageInfo"]["hasPreviousPage"]) == (False, True)
    assert (first["pageInfo"]["hasNextPage"], first["pageInfo"]["startCursor"]) == (True, "1")
    end = api.ask(EVENTS, after="9223372036854775807")["events"]
    assert (end["edges"], end["pageInfo"]["hasNextPage"], end["pageInfo"]["endCursor"]) == ([], False, None)


def test_i_read_only_the_types_i_name_and_am_told_of_a_wrong_name(horde: Horde, alice: User) -> None:
    wanted = ["accounts.UserRegistered", "kudos.KudosTransferred"]
    found = horde.events(types=wanted)
    assert {event["type"] for event in found} == set(wanted)
    assert [e["position"] for e in found] == [e["position"] for e in horde.events() if e["type"] in wanted]
    assert horde.events(types=[]) == []
    for types in (["no.Such"], [*wanted, "accounts.userRegistered"], ["\0"], ["x" * 9_000]):
        answer = horde.anonymous.post(EVENTS, {"types": types})
        assert answer.codes == ["INVALID_ARGUMENT"]
        for wire in (horde.anonymous.websocket, horde.anonymous.events):
            with wire(FOLLOW, {"types": types}) as live:
                assert next(live)["errors"][0]["extensions"]["code"] == "INVALID_ARGUMENT"


def test_an_event_names_people_by_a_random_id_only(horde: Horde, alice: User) -> None:
    mine = [event for event in horde.events() if event["subject"] == alice.id]
    assert mine
    assert mine[0]["type"] == "accounts.UserRegistered"
    assert "alice" not in json.dumps(mine)


def follow(api: Api, wire: str, upto: threading.Event, end: list[int], **asked: Any) -> list[dict[str, Any]]:
    """Everything a subscription tells, until it has told the position in `end`."""
    found: list[dict[str, Any]] = []
    with getattr(api, wire)(FOLLOW, asked, timeout=30) as live:
        for payload in live:
            found.append(payload["data"]["events"])
            if upto.is_set() and int(found[-1]["position"]) >= end[0]:
                break
    return found


def test_from_any_position_on_nothing_is_missed_while_two_processes_write(
    horde: Horde, second: ApiProcess, bob: User
) -> None:
    done, end = threading.Event(), [0]
    ports = (horde.url, second.url)
    start = horde.position()

    def write(number: int) -> None:
        user = register(Api(ports[number % 2]), "writer")
        for _ in range(5):
            job = user.submit(models=[f"follow {number}"])
            job.cancel()

    followers = [
        (Api(url), wire, after)
        for url in ports
        for wire in ("websocket", "events")
        for after in ("0", str(start))
    ]
    with ThreadPoolExecutor(len(followers) + 8) as pool:
        following = [pool.submit(follow, api, wire, done, end, after=after) for api, wire, after in followers]
        for writing in [pool.submit(write, number) for number in range(8)]:
            writing.result(60)
        end[0] = horde.quiet()
        done.set()
        register(Api(second.url), "last word")  # whoever was too early sees this
        told = [one.result(60) for one in following]
    stored = {event["position"]: event for event in horde.events()}
    for (_, _, after), events in zip(followers, told, strict=True):
        places = [int(event["position"]) for event in events]
        assert places == list(range(int(after) + 1, places[-1] + 1))
        assert places[-1] >= end[0]
        assert all(stored[event["position"]] == event for event in events)


def test_live_i_get_only_the_types_i_name(horde: Horde, second: ApiProcess, bob: User) -> None:
    start = horde.position()
    with horde.anonymous.websocket(
        FOLLOW, {"after": str(start), "types": ["kudos.KudosTransferred"]}
    ) as live:
        user = horde.register("x", "3")  # a registration, then a transfer
        event = next(live)["data"]["events"]
    assert event["type"] == "kudos.KudosTransferred"
    assert (event["data"]["target"], event["data"]["amount"]) == (user.id, 300)


@pytest.mark.parametrize("wire", ["websocket", "events"])
def test_from_the_beginning_i_get_all_of_the_types_i_name_then_new_ones(
    horde: Horde, second: ApiProcess, alice: User, wire: str
) -> None:
    wanted = ["kudos.KudosTransferred", "accounts.AnonymousOpened"]
    stored = horde.events(types=wanted)
    assert len(stored) >= 2
    with getattr(Api(second.url), wire)(FOLLOW, {"after": "0", "types": wanted}) as live:
        assert [next(live)["data"]["events"] for _ in stored] == stored
        user = horde.register("late", "3")
        event = next(live)["data"]["events"]
    assert (event["type"], event["data"]["target"]) == ("kudos.KudosTransferred", user.id)


def test_what_is_written_through_one_process_is_read_at_once_through_the_other(
    horde: Horde, second: ApiProcess
) -> None:
    for writer, reader in ((horde.url, second.url), (second.url, horde.url)):
        user = register(Api(writer), "twice")
        document = "{ viewer { id } }"
        assert Api(reader, user.key).ask(document)["viewer"]["id"] == user.id


def canonical(event: dict[str, Any]) -> bytes:
    """As `docs/events.md` describes it, with the standard library only."""
    subject = event["subject"]
    return json.dumps(
        [
            event["position"],
            str(event["event_id"]),
            event["stream"],
            event["type"],
            event["schema_version"],
            None if subject is None else str(subject),
            event["occurred_at"].isoformat(timespec="microseconds"),
            event["data"],
            event["metadata"],
        ],
        separators=(",", ":"),
        ensure_ascii=False,
    ).encode()


def test_anybody_proves_a_copy_of_the_log_complete_and_unaltered(
    horde: Horde, alice: User, tmp_path: Path
) -> None:
    horde.quiet()
    run_cli(
        "log", "export", "--out", str(tmp_path / "copy"), "--segment-events", "100", variables=horde.variables
    )
    manifest = json.loads((tmp_path / "copy" / "manifest.json").read_text())
    rows: list[dict[str, Any]] = []
    digest = hashlib.sha256(f"hoard log 1 realm {manifest['realm']}".encode()).digest()
    for segment in manifest["segments"]:
        file = tmp_path / "copy" / segment["file"]
        assert hashlib.sha256(file.read_bytes()).hexdigest() == segment["sha256"]
        assert segment["previous"] == digest.hex()
        for event in parquet.read_table(file).to_pylist():
            digest = hashlib.sha256(digest + canonical(event)).digest()
            assert digest == event["hash"], event["position"]
            rows.append(event)
        assert segment["hash"] == digest.hex()
    api = {event["position"]: event for event in horde.events()}
    assert len(rows) <= len(api)
    assert len(rows) > 10
    for row in rows:
        told = api[str(row["position"])]
        assert told["hash"] == row["hash"].hex()
        assert told["data"] == json.loads(row["data"])
        assert (told["type"], told["stream"], told["id"]) == (
            row["type"],
            row["stream"],
            str(row["event_id"]),
        )


def test_the_operator_proves_log_and_projections(horde: Horde, alice: User) -> None:
    """Feature 157."""
    horde.quiet()
    assert json.loads(run_cli("log", "verify", "--json", variables=horde.variables))["clean"] is True
    replayed = json.loads(run_cli("log", "replay", "--json", variables=horde.variables))
    assert replayed["total"] == 0
    run_cli("projections", "verify", "--json", variables=horde.variables, timeout=120)
