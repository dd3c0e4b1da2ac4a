"""What the processes of a running horde tell Prometheus of what was done, and what they never tell."""

import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.acceptance.horde import Horde, Submitted, User, final, unique
from tests.acceptance.processes import eventually
from tests.acceptance.wires import Api

PROCESSES = ("api", "relay", "actors")
#: labels of a sample, sorted
Labels = tuple[tuple[str, str], ...]


def scraped(horde: Horde, process: str) -> str:
    port = int(horde.variables["HOARD_METRICS_PORT"]) + PROCESSES.index(process)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain")
        text: str = answer.read().decode()
    return text


def samples(horde: Horde, process: str) -> dict[tuple[str, Labels], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(scraped(horde, process))
        for sample in family.samples
    }


def figure(horde: Horde, process: str, name: str, **labels: str) -> float:
    """A sample; 0 where there is none (yet)."""
    return samples(horde, process).get((f"hoard_{name}", tuple(sorted(labels.items()))), 0.0)


def grows(horde: Horde, process: str, name: str, by: float, act: Callable[[], Any], **labels: str) -> Any:
    """What an act comes to, which must let a counter grow by so much."""
    before = figure(horde, process, name, **labels)
    result = act()
    assert figure(horde, process, name, **labels) - before == pytest.approx(by)
    return result


def test_operations_are_counted_by_field_and_errors_by_code(horde: Horde, alice: User) -> None:
    asked = {"kind": "query", "field": "hordeStatus"}
    status = "query Mine { mine: hordeStatus { workers } }"
    grows(horde, "api", "graphql_seconds_count", 1, lambda: alice.api.ask(status), **asked)
    unknown = {"field": "", "code": "INVALID_DOCUMENT"}
    bad = "query { nothingSuch }"
    for _ in range(2):  # the second time the document is known to be bad
        grows(horde, "api", "graphql_errors_total", 1, lambda: alice.api.post(bad), **unknown)
    stranger, refused = Api(horde.url, "no such key"), {"field": "viewer", "code": "UNAUTHENTICATED"}
    grows(horde, "api", "graphql_errors_total", 1, lambda: stranger.post("{ viewer { id } }"), **refused)
    several = {"kind": "query", "field": "several"}
    both = "{ hordeStatus { workers } models { name } }"
    grows(horde, "api", "graphql_seconds_count", 1, lambda: alice.api.ask(both), **several)


def test_a_job_is_seen_by_writer_polls_and_storage(horde: Horde, alice: User, bob: User, model: str) -> None:
    worker = bob.worker(model)
    missed = {"kind": "IMAGE", "outcome": "nothing"}
    grows(horde, "api", "pops_total", 1, worker.pop, **missed)
    accepted = {"command": "SubmitImageJob", "outcome": "accepted"}
    submit: Callable[[], Submitted] = lambda: alice.submit("a marker-word", models=[model])  # noqa: E731
    job = grows(horde, "api", "writer_commands_total", 1, submit, **accepted)
    taken = grows(horde, "api", "pops_total", 1, worker.take, kind="IMAGE", outcome="leased")
    before = figure(horde, "api", "writer_held_seconds_count")
    grows(horde, "api", "storage_check_seconds_count", 1, lambda: worker.deliver(taken), outcome="there")
    assert figure(horde, "api", "writer_held_seconds_count") > before
    assert figure(horde, "api", "writer_held_seconds_sum") > 0
    assert final(job)["state"] == "DONE"
    poor, code = horde.register(), {"code": "INSUFFICIENT_KUDOS"}
    dear = {"models": [model], "params": {"width": 2048, "height": 2048, "steps": 100, "n": 4}}

    def refuse() -> None:
        answer = poor.api.post(
            "mutation($i: SubmitImageJobInput!) { submitImageJob(input: $i) { __typename } }",
            {"i": {"prompt": "too dear", **dear}},
        )
        assert answer.body["data"]["submitImageJob"]["__typename"] == "InsufficientKudos", answer.body

    grows(horde, "api", "writer_rejections_total", 1, refuse, **code)


def test_the_relay_that_leads_tells_of_the_whole_horde(
    horde: Horde, alice: User, bob: User, model: str
) -> None:
    assert figure(horde, "relay", "relay_leading") == 1
    job = alice.submit("waits", models=[model], params={"n": 2})
    bob.worker(unique("another model"), threads=3).pop()

    def told() -> bool:
        found = samples(horde, "relay")
        image: Labels = (("kind", "IMAGE"),)
        return (
            found.get(("hoard_queue_generations", image), 0) >= 2
            and found.get(("hoard_threads_online", image), 0) >= 3
            and found[("hoard_log_position", (("realm", "0"),))] >= int(job.answer["position"])
        )

    eventually(told, 20, "the relay tells of a job that waits")
    assert figure(horde, "relay", "follower_lag_events", follower="reactions") >= 0
    assert ("hoard_queue_jobs", (("kind", "IMAGE"),)) not in samples(horde, "api")
    tax = {"account": "sink:tax", "reason": "jobs.GenerationDelivered", "direction": "in"}
    before = figure(horde, "relay", "kudos_hundredths_total", **tax)
    bob.worker(model).serve(amount=2)
    eventually(lambda: figure(horde, "relay", "kudos_hundredths_total", **tax) > before, 20, "tax is counted")


def test_actors_tell_of_messages_and_publications(horde: Horde, alice: User, bob: User, model: str) -> None:
    done = {"actor": "publish_picture", "outcome": "done"}
    before = figure(horde, "actors", "actor_seconds_count", **done)
    published = figure(horde, "actors", "publications_total", outcome="published")
    alice.submit("shared", models=[model], share=True)
    bob.worker(model).serve()
    eventually(
        lambda: figure(horde, "actors", "publications_total", outcome="published") > published,
        20,
        "published",
    )
    eventually(
        lambda: figure(horde, "actors", "actor_seconds_count", **done) > before, 20, "the actor is counted"
    )


def test_nobody_is_named_and_nothing_that_a_client_wrote(
    horde: Horde, alice: User, bob: User, model: str
) -> None:
    worker = bob.worker(model)
    alice.submit("a marker-word", models=[model])
    worker.serve()
    words = (
        alice.id,
        alice.alias,
        alice.key,
        bob.id,
        worker.name,
        model,
        "marker-word",
        "nothingSuch",
        "127.0.0.1",
    )
    for process in PROCESSES:
        text = scraped(horde, process)
        assert "hoard_writer_queue_commands" in text
        assert not [word for word in words if word in text]
