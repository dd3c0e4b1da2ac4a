"""Operations made up from the schema itself: whatever they ask, the answer is a GraphQL response and no fault of ours.

The same operations in every run, for at most a quarter of a minute. `HOARD_GENERATED_SECONDS=600` goes on for so long, with
operations that differ from run to run: a soak. What was generated may register users and submit jobs.
"""

import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from graphql import OperationDefinitionNode, parse
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis_graphql import nodes
from hypothesis_graphql import strategies as gql_st

from tests.acceptance.horde import Horde
from tests.acceptance.wires import Answer, Api
from tests.hostile.sockets import RawWebSocket

SCHEMA = Path(__file__).resolve().parents[2] / "schema.graphql"
SOAK = float(os.environ.get("HOARD_GENERATED_SECONDS", "0"))
#: seconds for each of the three kinds of operations
SECONDS = (SOAK or 15.0) / 3
EXAMPLES = 100_000 if SOAK else 150
#: what the API's own scalars may be, and what they may not
CUSTOM = {
    "Kudos": st.one_of(
        st.decimals(allow_nan=False, allow_infinity=False, places=2).map(lambda d: nodes.String(str(d))),
        st.integers().map(nodes.Int),
        st.text(max_size=20).map(nodes.String),
    ),
    "Position": st.one_of(
        st.integers(-5, 2**66).map(lambda n: nodes.String(str(n))), st.text(max_size=5).map(nodes.String)
    ),
    "DateTime": st.one_of(
        st.datetimes().map(lambda d: nodes.String(d.isoformat() + "+00:00")),
        st.text(max_size=30).map(nodes.String),
    ),
    "JSON": st.one_of(
        st.just(nodes.Null), st.text(max_size=20).map(nodes.String), st.integers().map(nodes.Int)
    ),
}


def profile(examples: int) -> Any:
    """How much is generated. Nothing is shrunk: the operation itself is what one wants to see."""
    return settings(
        max_examples=examples,
        derandomize=not SOAK,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture(scope="module")
def served() -> str:
    """The schema as it is printed; another test compares it with the code."""
    return SCHEMA.read_text(encoding="utf-8")


def check(answer: Answer, document: str) -> None:
    """A GraphQL response over HTTP, and no masked error in it."""
    told = f"{answer.status} {answer.body}\n{document[:3_000]}"
    assert answer.status in (200, 400, 413), told
    assert answer.headers["content-type"].startswith("application/graphql-response+json"), told
    assert answer.body.keys() <= {"data", "errors"}, told
    assert answer.body, told
    if answer.status == 200:
        assert "data" in answer.body, told
    for error in answer.body.get("errors", []):
        assert isinstance(error["message"], str), told
        assert error["extensions"]["code"] != "INTERNAL", told
        assert error["message"] != "Internal error", told
        assert isinstance(error.get("path", []), list), told


class TimeIsUp(BaseException):
    """Enough was generated. No `Exception`, which would be a finding."""


class Tried:
    """How many operations ran, and how many of them to data."""

    def __init__(self) -> None:
        self.until: float | None = None
        self.sent = self.answered = 0

    def next(self) -> None:
        """One is about to be sent. Raises `TimeIsUp`."""
        now = time.monotonic()
        self.until = self.until or now + SECONDS
        if now > self.until:
            raise TimeIsUp
        self.sent += 1


def callers(horde: Horde) -> list[Api]:
    assert horde.bank is not None
    return [horde.anonymous, horde.register("generated", "1000").api]


@pytest.mark.parametrize("kind", ["queries", "mutations"])
def test_no_generated_operation_is_answered_by_a_fault(horde: Horde, served: str, kind: str) -> None:
    tried, apis = Tried(), callers(horde)
    make = {"queries": gql_st.queries, "mutations": gql_st.mutations}[kind]

    @profile(EXAMPLES)
    @given(make(served, custom_scalars=CUSTOM, allow_x00=True))
    def run(document: str) -> None:
        tried.next()
        answer = apis[tried.sent % len(apis)].post(document)
        check(answer, document)
        tried.answered += answer.body.get("data") is not None

    with suppress(TimeIsUp):
        run()
    # Operations that are all refused would prove little.
    assert tried.answered > tried.sent / 20, (tried.answered, tried.sent)


def test_no_generated_subscription_ends_its_connection(horde: Horde, served: str) -> None:
    """Each on a WebSocket with others: an error, data or silence, and the connection goes on."""
    tried = Tried()
    # The package generates queries and mutations: a schema whose query is our subscription is as good.
    turned = served.replace("type Query ", "type NoQuery ", 1).replace("type Subscription ", "type Query ", 1)

    with RawWebSocket(horde.url) as peer:
        peer.init()

        @profile(EXAMPLES // 3)
        @given(gql_st.queries(turned, custom_scalars=CUSTOM))
        def run(document: str) -> None:
            tried.next()
            (operation,) = [
                node for node in parse(document).definitions if isinstance(node, OperationDefinitionNode)
            ]
            assert operation.operation.value == "query"
            id_ = str(tried.sent)
            text = (
                document.replace("query", "subscription", 1)
                if "query" in document[:6]
                else f"subscription {document}"
            )
            peer.subscribe(id_, text).say({"type": "complete", "id": id_}).say({"type": "ping"})
            while (told := peer.hear()) != {"type": "pong"}:
                assert isinstance(told, dict), (told, text)
                assert told["type"] in ("next", "error", "complete"), told
                assert "Internal error" not in json.dumps(told), (told, text)

        with suppress(TimeIsUp):
            run()
    assert tried.sent
