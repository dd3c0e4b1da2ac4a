"""Storage that hangs, or answers every request with an error, or is full: deliveries wait, nothing is lost."""

import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from app.embedded.stack import EmbeddedStack
from app.platform.settings import Settings
from tests.acceptance.horde import final, refused, transfer, upload
from tests.acceptance.processes import eventually
from tests.chaos.proxy import Mode, Proxy
from tests.chaos.test_sudden_death import delivered
from tests.chaos.world import World


@pytest.fixture(scope="module")
def proxy(stack_settings: tuple[EmbeddedStack, Settings]) -> Iterator[Proxy]:
    """A way to storage that can be cut."""
    with Proxy(urlsplit(stack_settings[1].s3_url).port or 0) as made:
        yield made


@pytest.fixture(scope="module")
def distant(
    stack_settings: tuple[EmbeddedStack, Settings], proxy: Proxy, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """A horde that reaches storage, as everybody, by way of the proxy."""
    stack, settings = stack_settings
    url = f"http://127.0.0.1:{proxy.port}"
    with World(tmp_path_factory.mktemp("distant"), stack, settings, s3_url=url) as made:
        yield made


@pytest.mark.parametrize("mode", ["mute", pytest.param("failing", marks=pytest.mark.slow)])
def test_a_delivery_waits_for_storage_and_the_lease_with_it(distant: World, proxy: Proxy, mode: Mode) -> None:
    horde = distant.horde
    user, worker = horde.register("user", "100"), horde.register("owner").worker(f"model {mode}")
    job = user.submit(models=worker.models, share=True)
    later = user.submit(models=worker.models, share=True)
    taken = worker.take()
    upload(taken["generations"][0])
    result = {"generationId": taken["generations"][0]["id"], "state": "OK"}
    proxy.set(mode)
    try:
        started = time.monotonic()
        with refused("STORAGE_UNAVAILABLE"):
            worker.report(taken["leaseId"], result)
        assert time.monotonic() - started < 5
        health = distant.apis[0].health()
        assert health is not None
        assert (health["status"], health["away"]) == ("ok", ["storage"])
        second = worker.take()
        assert second["jobId"] == later.id, "work is handed out meanwhile"
        extended = distant.rows(
            "SELECT count(*) FROM log.event WHERE type = 'jobs.LeaseExtended' AND data::json->>'lease' = %(lease)s",
            {"lease": taken["leaseId"]},
        )
        assert extended == [(1,)]
    finally:
        proxy.set("open")
    assert transfer("GET", second["generations"][0]["uploadUrl"])[0] == 403, "a link to upload is only that"
    upload(second["generations"][0])  # its link was made while storage was away
    assert delivered(worker, taken["leaseId"], result)
    worker.report(second["leaseId"], {"generationId": second["generations"][0]["id"], "state": "OK"})
    assert final(job)["state"] == final(later)["state"] == "DONE"
    eventually(
        lambda: all(made.now()["generations"][0]["sha256"] for made in (job, later)), 60, "both are published"
    )


@pytest.mark.slow
def test_publishing_waits_for_storage(distant: World, proxy: Proxy) -> None:
    horde = distant.horde
    user, worker = horde.register("user", "100"), horde.register("owner").worker("model to publish")
    job = user.submit(models=worker.models, share=True)
    distant.kill("actors")
    worker.serve()
    proxy.set("failing")
    try:
        distant.revive("actors")
        eventually(
            lambda: "StorageUnavailableError" in distant.processes["actors"].said(), 30, "a first attempt"
        )
        assert job.now()["generations"][0]["sha256"] is None
    finally:
        proxy.set("open")
    eventually(lambda: job.now()["generations"][0]["sha256"], 60, "the picture is published")
    assert f"{job.now()['generations'][0]['id']}.webp" in distant.shared()
