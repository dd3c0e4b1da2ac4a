"""Teams of workers: features 128 to 131 of docs/checklist.md.

Look next: `docs/workers.md`, `tests/acceptance/test_steering.py`.
"""

from typing import Any

import pytest

from tests.acceptance.horde import Horde, User, Worker, refused, unique
from tests.acceptance.processes import eventually
from tests.acceptance.wires import Api

TEAM = (
    "id name info creator createdAt mine workerCount megapixelsteps fulfilled earned megapixelstepsPerSecond "
    "models { name count } workers(first: 10) { edges { node { name team { name } } } }"
)
INFO = "we draw by night"


@pytest.fixture(scope="module")
def founder(horde: Horde) -> User:
    return horde.promote(horde.register("founder"), "trusted")


@pytest.fixture(scope="module")
def moderator(horde: Horde) -> User:
    return horde.promote(horde.register("moderator"), "moderator")


def found(user: User, name: str, info: str = INFO, **given: Any) -> dict[str, Any]:
    chosen = f"... on CreateTeamSuccess {{ team {{ {TEAM} }} position }}"
    team: dict[str, Any] = user.api.call("createTeam", chosen, {"name": name, "info": info, **given})["team"]
    return team


def edit(user: User, team: str, **given: Any) -> dict[str, Any]:
    chosen = f"... on EditTeamSuccess {{ team {{ {TEAM} }} position }}"
    edited: dict[str, Any] = user.api.call("editTeam", chosen, {"team": team, **given})["team"]
    return edited


def dissolve(user: User, team: str) -> dict[str, Any]:
    return user.api.call("deleteTeam", "... on DeleteTeamSuccess { id position }", {"team": team})


def join(worker: Worker, team: str) -> Any:
    chosen = "... on UpdateWorkerSuccess { worker { team { name } } position }"
    answer = worker.owner.api.call("updateWorker", chosen, {"worker": worker.name, "team": team})
    return answer["worker"]["team"]


def seen(api: Api, team: str) -> Any:
    return api.ask(f"query($t: String!) {{ team(team: $t) {{ {TEAM} }} }}", t=team)["team"]


def test_trusted_users_found_teams_with_unique_names(
    horde: Horde, founder: User, bob: User, moderator: User
) -> None:
    """Feature 128."""
    name, key = unique("Night owls"), unique("key")
    position = horde.position()
    team = found(founder, name, idempotencyKey=key)
    assert (team["name"], team["info"], team["workerCount"], team["mine"]) == (name, INFO, 0, True)
    assert (team["fulfilled"], team["earned"], team["megapixelsteps"]) == (0, "0.00", 0.0)
    assert found(founder, name, idempotencyKey=key)["id"] == team["id"]
    log = horde.events(position, ["teams.TeamCreated"])
    assert [event["stream"] for event in log] == [f"team-{team['id']}"]
    assert name not in str(log)

    assert found(moderator, unique("moderated"))["mine"] is True
    with refused("FORBIDDEN"):
        found(bob, unique("untrusted"))
    with refused("FORBIDDEN"):
        found(User("", "", "", horde.anonymous), unique("anonymous"))
    with refused("INVALID_INPUT", "input", "name"):
        found(founder, name.upper())
    for bad in ("xy", "x" * 101, " padded", "two\nlines"):
        with refused("INVALID_INPUT", "input", "name"):
            found(founder, bad)
    for bad in ("xy", "x" * 1_001, "a\0bc"):
        with refused("INVALID_INPUT", "input", "info"):
            found(founder, unique("team"), bad)


def test_a_team_is_edited_and_dissolved_by_its_founder_and_moderators(
    horde: Horde, founder: User, bob: User, moderator: User, model: str
) -> None:
    """Feature 130."""
    name = unique("first name")
    team = found(founder, name)
    other = found(founder, unique("other"))
    worker = bob.worker(model)
    worker.pop()
    with refused("FORBIDDEN", "input", "team"):
        edit(bob, name, info="ours now")
    assert edit(moderator, name, info="kind people")["info"] == "kind people"
    with refused("INVALID_INPUT", "input", "name"):
        edit(founder, name, name=other["name"])
    with refused("INVALID_INPUT", "input"):
        edit(founder, name)
    with refused("NOT_FOUND", "input", "team"):
        edit(founder, unique("nobody's"), info="whose?")
    renamed = unique("second name")
    assert edit(founder, team["id"], name=renamed)["info"] == "kind people"
    assert seen(bob.api, name) is None

    assert join(worker, team["id"]) == {"name": renamed}
    with refused("FORBIDDEN", "input", "team"):
        dissolve(bob, renamed)
    assert dissolve(founder, renamed)["id"] == team["id"]
    assert seen(bob.api, team["id"]) is None
    document = "query($w: String!) { worker(worker: $w) { team { name } } }"
    assert bob.api.ask(document, w=worker.name)["worker"]["team"] is None
    with refused("NOT_FOUND", "input", "team"):
        join(worker, team["id"])
    assert found(founder, renamed)["id"] != team["id"]


def test_what_a_worker_delivers_counts_for_the_team_it_is_in_then(
    horde: Horde, founder: User, alice: User, bob: User, model: str
) -> None:
    """Features 119 and 131: it moves and leaves, and what it did stays where it was done."""
    first, second = found(founder, unique("team a")), found(founder, unique("team b"))
    worker = bob.worker(model)
    worker.pop()
    for _ in range(5):
        alice.submit(models=[model])
    worker.serve()
    position = horde.position()
    assert join(worker, first["id"]) == {"name": first["name"]}
    taken = worker.take()
    worker.deliver(taken)
    worker.deliver(worker.take(), "CENSORED")
    running = worker.take()
    assert join(worker, second["id"]) == {"name": second["name"]}
    worker.deliver(running)
    assert join(worker, "") is None
    worker.serve()
    with refused("NOT_FOUND", "input", "team"):
        join(worker, unique("no id"))

    def totals(team: dict[str, Any], fulfilled: int) -> dict[str, Any] | None:
        now: dict[str, Any] = seen(alice.api, team["id"])
        return now if now["fulfilled"] == fulfilled else None

    picture = 512 * 512 * 30 / 1e6
    one = eventually(lambda: totals(first, 2), 20, "two generations for the first team") or {}
    two = eventually(lambda: totals(second, 1), 20, "one for the second") or {}
    assert (one["megapixelsteps"], two["megapixelsteps"]) == (pytest.approx(picture), pytest.approx(picture))
    assert float(one["earned"]) == pytest.approx(2 * float(two["earned"])) != 0
    assert (one["workerCount"], two["workerCount"]) == (0, 0)
    moved = horde.events(position, ["workers.WorkerTeamChanged"])
    assert len(moved) == 3


def test_teams_are_listed_with_their_workers_models_and_speed(
    horde: Horde, founder: User, alice: User, bob: User, model: str
) -> None:
    """Feature 129."""
    team = found(founder, unique("team with two"))
    workers = [bob.worker(model), alice.worker(model)]
    for worker in workers:
        worker.pop()
        join(worker, team["id"])
    names = sorted(worker.name for worker in workers)

    def known() -> dict[str, Any] | None:
        now: dict[str, Any] = seen(horde.anonymous, team["name"].upper())
        return now if now["models"] == [{"name": model, "count": 2}] else None

    now = eventually(known, 10, "both are seen online") or {}
    assert [edge["node"] for edge in now["workers"]["edges"]] == [
        {"name": name, "team": {"name": team["name"]}} for name in names
    ]
    assert (now["workerCount"], now["mine"], now["creator"]) == (2, False, None)
    assert now["megapixelstepsPerSecond"] > 0
    document = (
        "query($after: String) { teams(first: 2, after: $after) { edges { node { id name } } "
        "pageInfo { hasNextPage endCursor } } }"
    )
    listed: list[dict[str, Any]] = []
    after = None
    while True:
        page = horde.anonymous.ask(document, after=after)["teams"]
        listed += [edge["node"] for edge in page["edges"]]
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = page["pageInfo"]["endCursor"]
    assert team["id"] in [each["id"] for each in listed]
    assert len({each["id"] for each in listed}) == len(listed)
    node = horde.anonymous.ask("query($id: ID!) { node(id: $id) { __typename id } }", id=team["id"])["node"]
    assert node == {"__typename": "Team", "id": team["id"]}
    workers[0].owner.api.call(
        "deleteWorker", "... on DeleteWorkerSuccess { id }", {"worker": workers[0].name}
    )
    assert seen(horde.anonymous, team["id"])["workerCount"] == 1
