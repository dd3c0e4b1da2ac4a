"""The worker's loop on the paths a real server rarely takes. The true way round is in `tests/acceptance`."""

import asyncio
from contextlib import asynccontextmanager

import aiohttp
import msgspec
import pytest

from clients.api import Api, RefusedError
from clients.worker.backends import BackendError, Picture
from clients.worker.crafts.images import Images
from clients.worker.loop import Worker
from clients.worker.offer import Offer
from clients.worker.pacing import Pacing
from tests.unit.clients.stand_in import (
    ACCEPTED,
    HASTY,
    HASTY_PACING,
    NO_JOB,
    RELEASED,
    refusal,
    standing_in,
    top_level,
)

pytestmark = pytest.mark.anyio
OFFER = Offer(name="w", kind="image", serves=("stable_diffusion",), capabilities={"maxPixels": 262144})


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
async def server():
    async with standing_in() as server:
        server.on("releaseLease", RELEASED)
        yield server


class Drawing:
    """A backend that takes its time and fails on demand."""

    confession = "draws nothing"

    def __init__(self, seconds: float = 0.0, faults: int = 0, *, censored: bool = False) -> None:
        self.seconds, self.faults, self.censored = seconds, faults, censored
        self.began = asyncio.Event()
        self.drawn = 0

    async def generate(self, task):
        self.began.set()
        await asyncio.sleep(self.seconds)
        if self.faults:
            self.faults -= 1
            raise BackendError("cannot")
        self.drawn += 1
        return Picture(
            body=f"picture of {task.generation_id}".encode(), seed=task.seed, censored=self.censored
        )

    async def close(self):
        pass


@asynccontextmanager
async def at_work(
    server, backend, *, pacing: Pacing = HASTY_PACING, threads=1, queue_ahead=0, wait=0, **limits
):
    """A worker at work; yields (worker, task, stop, lines). It must end by itself or by `stop`."""
    stop, lines = asyncio.Event(), []
    offer = msgspec.structs.replace(OFFER, threads=threads, queue_ahead=queue_ahead, wait_seconds=wait)
    async with (
        Api(server.url, "key", backoff=HASTY, on_wait=lines.append) as api,
        aiohttp.ClientSession() as storage,
    ):
        worker = Worker(api, storage, Images(backend), offer, pacing=pacing, say=lines.append, **limits)
        running = asyncio.create_task(worker.run(stop))
        yield worker, running, stop, lines
        async with asyncio.timeout(10):
            await running


async def until(condition) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


def outcomes(server) -> list[tuple[str, str]]:
    return [
        (result["generationId"], result["state"])
        for wish in server.inputs("submitResult")
        for result in wish["results"]
    ]


async def test_every_picture_is_uploaded_and_submitted_by_itself(server):
    job = server.assignment(3)
    server.on("popJob", NO_JOB, job)
    server.on("submitResult", ACCEPTED)
    async with at_work(server, Drawing(), max_jobs=1) as (worker, _, _, lines):
        pass
    ids = [task["id"] for task in job["generations"]]
    assert sorted(outcomes(server)) == sorted((each, "OK") for each in ids)
    assert server.pictures == {each: f"picture of {each}".encode() for each in ids}
    assert all("content-type" not in headers and "apikey" not in headers for headers in server.put_headers)
    assert all(wish["waitSeconds"] == 0 for wish in server.inputs("popJob"))
    assert worker.delivered == 3
    assert server.inputs("releaseLease") == []
    assert not any("secret garden" in line for line in lines)


async def test_what_cannot_be_drawn_is_reported_and_the_rest_goes_on(server):
    job = server.assignment(2)
    server.on("popJob", job)
    server.on("submitResult", ACCEPTED)
    async with at_work(server, Drawing(faults=1), max_jobs=1) as (worker, _, _, _):
        pass
    first, second = (task["id"] for task in job["generations"])
    assert sorted(outcomes(server)) == sorted([(first, "FAULTED"), (second, "OK")])
    assert list(server.pictures) == [second]
    assert worker.delivered == 1


async def test_a_payload_that_makes_no_sense_is_a_fault_and_not_the_end(server):
    server.on("popJob", server.assignment(width="wide"))
    server.on("submitResult", ACCEPTED)
    async with at_work(server, Drawing(), max_jobs=1):
        pass
    assert [state for _, state in outcomes(server)] == ["FAULTED"]


async def test_a_blanked_picture_is_uploaded_and_submitted_as_censored(server):
    server.on("popJob", server.assignment())
    server.on("submitResult", ACCEPTED)
    async with at_work(server, Drawing(censored=True), max_jobs=1):
        pass
    assert [state for _, state in outcomes(server)] == ["CENSORED"]
    assert len(server.pictures) == 1


async def test_an_ended_lease_is_dropped_and_the_worker_goes_on(server):
    lost, kept = server.assignment(2), server.assignment()
    server.on("popJob", lost, kept)
    server.on(
        "submitResult",
        lambda wish: refusal("LEASE_ENDED") if wish["leaseId"] == lost["leaseId"] else ACCEPTED,
    )
    async with at_work(server, Drawing(seconds=0.05), max_jobs=2) as (worker, _, _, _):
        pass
    assert outcomes(server)[-1] == (kept["generations"][0]["id"], "OK")
    assert worker.delivered == 1
    assert server.inputs("releaseLease") == []


async def test_a_lease_that_ends_while_drawing_stops_the_drawing(server):
    server.on("popJob", server.assignment(seconds=1.0))
    server.on("extendLease", refusal("LEASE_ENDED"))
    backend = Drawing(seconds=60)
    async with at_work(server, backend, max_jobs=1):
        pass
    assert (backend.drawn, outcomes(server)) == (0, [])
    assert server.inputs("releaseLease") == []


async def test_a_long_drawing_extends_its_lease_in_time(server):
    job = server.assignment(seconds=1.0)
    server.on("popJob", job)
    server.on("extendLease", lambda _: server.extended(job, seconds=1.0))
    server.on("submitResult", ACCEPTED)
    async with at_work(server, Drawing(seconds=1.3), max_jobs=1):
        pass
    assert len(server.inputs("extendLease")) == 2
    assert [state for _, state in outcomes(server)] == ["OK"]


@pytest.mark.parametrize("code", ["OBJECT_MISSING", "INTERNAL"])
async def test_a_picture_that_did_not_arrive_is_brought_again(server, code):
    server.on("popJob", server.assignment())
    server.on("submitResult", refusal(code), ACCEPTED)
    async with at_work(server, Drawing(), max_jobs=1) as (worker, _, _, _):
        pass
    assert len(server.put_headers) == 2
    assert worker.delivered == 1


async def test_storage_trouble_is_waited_out_and_a_stale_link_replaced(server):
    job = server.assignment()
    server.on("popJob", job)
    server.on("extendLease", server.extended(job))
    server.on("submitResult", ACCEPTED)
    server.put_statuses.extend([503, 403])
    async with at_work(server, Drawing(), max_jobs=1):
        pass
    assert list(server.pictures) == [f"fresh-{job['generations'][0]['id']}"]
    assert [state for _, state in outcomes(server)] == ["OK"]


async def test_a_storage_that_never_comes_back_gives_the_lease_back(server):
    server.on("popJob", server.assignment())
    server.put_statuses.extend([503] * 1000)
    pacing = Pacing(idle_first=0.01, carry=0.1, grace=1.0, retry=HASTY)
    async with at_work(server, Drawing(), pacing=pacing, max_jobs=1) as (worker, _, _, _):
        pass
    assert worker.delivered == 0
    assert len(server.inputs("releaseLease")) == 1


async def test_a_result_is_submitted_after_the_server_came_back(server):
    job = server.assignment()
    server.on("popJob", job, NO_JOB)
    server.on("submitResult", ACCEPTED)
    backend = Drawing(seconds=0.3)
    async with at_work(server, backend) as (worker, _, stop, _):
        await asyncio.wait_for(backend.began.wait(), 5)
        await server.stop()
        await until(lambda: backend.drawn)
        await asyncio.sleep(0.1)
        await server.start()
        await until(lambda: worker.delivered)
        stop.set()
    assert outcomes(server) == [(job["generations"][0]["id"], "OK")]
    keys = {wish["idempotencyKey"] for wish in server.inputs("submitResult")}
    assert len(keys) == 1


async def test_told_to_stop_it_submits_what_is_done_and_gives_back_the_rest(server):
    job = server.assignment(3)
    server.on("popJob", job)
    server.on("submitResult", ACCEPTED)
    backend = Drawing(seconds=0.2)
    async with at_work(server, backend) as (worker, _, stop, _):
        await until(lambda: backend.drawn == 1)
        stop.set()
    assert outcomes(server) == [(job["generations"][0]["id"], "OK")]
    assert server.inputs("releaseLease") == [{"leaseId": job["leaseId"]}]
    assert worker.delivered == 1


async def test_told_to_stop_while_the_server_is_gone_it_ends_within_the_grace(server):
    server.on("popJob", server.assignment())
    backend = Drawing(seconds=0.05)
    pacing = Pacing(idle_first=0.01, grace=0.2, retry=HASTY)
    async with at_work(server, backend, pacing=pacing) as (_, running, stop, _):
        await asyncio.wait_for(backend.began.wait(), 5)
        await server.stop()
        stop.set()
        await asyncio.wait_for(asyncio.shield(running), 3)


async def test_in_maintenance_it_shows_the_message_polls_slowly_and_serves_what_comes(server):
    told = refusal("WORKER_IN_MAINTENANCE", "in maintenance", maintenanceMessage="cleaning the lens")
    server.on("popJob", told, told, server.assignment())
    server.on("submitResult", ACCEPTED)
    began = asyncio.get_running_loop().time()
    async with at_work(server, Drawing(), max_jobs=1) as (worker, _, _, lines):
        pass
    assert asyncio.get_running_loop().time() - began >= 2 * HASTY_PACING.maintenance
    assert sum("cleaning the lens" in line for line in lines) == 1
    assert worker.delivered == 1


async def test_a_bug_of_the_server_does_not_end_the_worker(server):
    server.on("popJob", top_level("INTERNAL"), {"__typename": "SoundAssignment"}, server.assignment())
    server.on("submitResult", ACCEPTED)
    async with at_work(server, Drawing(), max_jobs=1) as (worker, _, _, _):
        pass
    assert worker.delivered == 1


@pytest.mark.parametrize(
    "answer", [top_level("UNAUTHENTICATED"), refusal("FORBIDDEN"), refusal("INVALID_INPUT")]
)
async def test_a_server_that_will_not_have_it_ends_the_worker(server, answer):
    server.on("popJob", answer)
    with pytest.raises(RefusedError):
        async with at_work(server, Drawing()):
            pass


async def test_no_more_leases_are_held_than_there_are_threads(server):
    server.on("popJob", lambda _: server.assignment())
    server.on("submitResult", ACCEPTED)
    backend = Drawing(seconds=0.1)
    busiest = 0
    draw = backend.generate
    now = 0

    async def counted(task):
        nonlocal busiest, now
        now += 1
        busiest = max(busiest, now)
        try:
            return await draw(task)
        finally:
            now -= 1

    backend.generate = counted
    async with at_work(server, backend, threads=3, max_jobs=7) as (worker, _, _, _):
        pass
    assert (busiest, worker.delivered) == (3, 7)


async def test_a_broken_backend_takes_jobs_ever_more_slowly():
    pacing = Pacing()
    assert [pacing.after_faults(count) for count in (0, 1, 2, 5, 99)] == [0, 1, 2, 16, 60]
    assert all(0.5 <= pacing.idle(polls) <= 3 for polls in range(1, 60))


async def test_it_goes_on_with_what_it_held_before_and_gives_back_what_it_cannot_serve(server):
    mine, surplus, foreign = server.assignment(2), server.assignment(), server.assignment()
    foreign["model"] = "somebody else's"
    server.answers["liveAssignments"].clear()
    server.on("liveAssignments", {"value": [foreign, mine, surplus]})
    server.on("submitResult", ACCEPTED)
    server.on("releaseLease", RELEASED)
    server.on("popJob", NO_JOB)
    async with at_work(server, Drawing(), max_jobs=1) as (worker, _, _, lines):
        pass
    assert worker.delivered == 2
    assert {wish["leaseId"] for wish in server.inputs("submitResult")} == {mine["leaseId"]}
    assert sorted(wish["leaseId"] for wish in server.inputs("releaseLease")) == sorted(
        [surplus["leaseId"], foreign["leaseId"]]
    )
    assert server.inputs("popJob") == [], "it was to serve one lease"
    assert not any("secret garden" in line for line in lines)


async def test_a_server_that_tells_no_leases_is_polled_all_the_same(server):
    server.answers["liveAssignments"].clear()
    server.on("liveAssignments", top_level("INVALID_DOCUMENT"))
    server.on("popJob", server.assignment())
    server.on("submitResult", ACCEPTED)
    async with at_work(server, Drawing(), max_jobs=1) as (worker, _, _, _):
        pass
    assert worker.delivered == 1


async def test_the_pictures_of_one_lease_are_drawn_side_by_side(server):
    server.on("popJob", server.assignment(4), NO_JOB)
    server.on("submitResult", ACCEPTED)
    backend = Drawing(seconds=60)
    async with at_work(server, backend, threads=3) as (worker, _, stop, _):
        await until(lambda: worker.standing().doing == 3)
        assert worker.standing().leases[0].undone == 4
        assert len(server.inputs("popJob")) == 1, "there is no room for more"
        stop.set()


async def test_leases_are_taken_ahead_and_released_at_the_end(server):
    server.on("popJob", lambda _: server.assignment())
    backend = Drawing(seconds=60)
    async with at_work(server, backend, threads=2, queue_ahead=1) as (worker, _, stop, _):
        await until(lambda: len(worker.standing().leases) == 3)
        await asyncio.sleep(0.05)
        standing = worker.standing()
        assert [lease.begun for lease in standing.leases] == [True, True, False]
        stop.set()
    assert len(server.inputs("releaseLease")) == 3


async def test_no_more_is_taken_ahead_than_can_be_begun_within_half_a_lease(server):
    server.on("popJob", lambda _: server.assignment(seconds=1.0))
    server.on("extendLease", lambda _: server.extended({"generations": []}, seconds=1.0))
    backend = Drawing(seconds=0.2)
    most = 0

    def watched(_wish):
        nonlocal most
        most = max(most, len(worker.standing().leases))
        return ACCEPTED

    server.on("submitResult", watched)
    async with at_work(server, backend, queue_ahead=20, max_jobs=8) as (worker, _, _, _):
        pass
    # 0.2 s a picture, leases of 1 s: the next is taken while at most two are undone.
    assert 2 <= most <= 4
    assert worker.delivered == 8


async def test_more_threads_begin_at_once_and_fewer_as_places_come_free(server):
    server.on("popJob", lambda _: server.assignment())
    backend = Drawing(seconds=60)
    async with at_work(server, backend) as (worker, _, stop, _):
        await until(lambda: worker.standing().doing == 1)
        worker.adopt(msgspec.structs.replace(OFFER, threads=3))
        await until(lambda: worker.standing().doing == 3)
        worker.adopt(msgspec.structs.replace(OFFER, threads=1))
        await asyncio.sleep(0.05)
        assert worker.standing().doing == 3
        stop.set()


async def test_a_poll_that_waits_is_given_up_at_the_end_and_what_it_brought_unseen_goes_back(server):
    unseen = server.assignment()
    server.answers["liveAssignments"].clear()
    server.on("liveAssignments", {"value": []}, {"value": [unseen]})
    server.waits["popJob"] = asyncio.Event()
    server.on("popJob", NO_JOB)
    pacing = msgspec.structs.replace(HASTY_PACING, last_poll=0.05)
    async with at_work(server, Drawing(), pacing=pacing, wait=20) as (_, _, stop, _):
        await until(lambda: server.inputs("popJob"))
        assert server.inputs("popJob")[0]["waitSeconds"] == 20
        stop.set()
    assert server.inputs("releaseLease") == [{"leaseId": unseen["leaseId"]}]


async def test_messages_of_the_server_are_said_once_each(server):
    first, second = ({"id": str(n), "message": f"word {n}"} for n in range(2))
    job = server.assignment() | {"messages": [first, second]}
    server.on("popJob", NO_JOB | {"messages": [first]}, NO_JOB | {"messages": [first]}, job)
    server.on("submitResult", ACCEPTED)
    async with at_work(server, Drawing(), max_jobs=1) as (_, _, _, lines):
        pass
    said = [line for line in lines if "message from the server" in line]
    assert said == ["message from the server: word 0", "message from the server: word 1"]


@pytest.mark.parametrize(
    ("told", "shown", "state"),
    [
        (
            refusal("WORKER_IN_MAINTENANCE", "m", maintenanceMessage="dust", maintenanceUntil="2026-01-01"),
            "WORKER_IN_MAINTENANCE: m dust (until 2026-01-01)",
            "maintenance",
        ),
        (refusal("WORKER_PAUSED", "by a moderator"), "WORKER_PAUSED: by a moderator", "paused by the server"),
    ],
)
async def test_what_keeps_it_from_work_is_told_and_shown(server, told, shown, state):
    server.on("popJob", told)
    async with at_work(server, Drawing()) as (worker, _, stop, lines):
        await until(lambda: worker.standing().last_word)
        assert (worker.standing().last_word, worker.standing().state) == (shown, state)
        stop.set()
    assert lines.count(shown) == 1


async def test_a_setting_that_the_server_refuses_later_does_not_end_the_worker(server):
    server.on("popJob", NO_JOB, refusal("INVALID_INPUT", "no such model"), server.assignment())
    server.on("submitResult", ACCEPTED)
    async with at_work(server, Drawing(), max_jobs=1) as (worker, _, _, lines):
        pass
    assert "INVALID_INPUT: no such model" in lines
    assert worker.delivered == 1


async def test_a_source_that_cannot_be_had_is_a_fault_with_a_note(server):
    job = server.assignment(2) | {"sourceProcessing": "img2img", "sourceImageUrl": f"{server.url}/store/none"}
    server.on("popJob", job)
    server.on("submitResult", ACCEPTED)
    backend = Drawing()
    async with at_work(server, backend, max_jobs=1):
        pass
    results = [result for wish in server.inputs("submitResult") for result in wish["results"]]
    note = [{"type": "SOURCE_IMAGE", "value": "DOWNLOAD_FAILED"}]
    assert [(result["state"], result["notes"]) for result in results] == [("FAULTED", note)] * 2
    assert backend.drawn == 0
