"""The same worker for texts and for interrogations: what it delivers, gives back and goes on with.

What kinds share (waits, retries, stopping) is in `test_worker.py`.
"""

import asyncio
import io
from contextlib import asynccontextmanager

import aiohttp
import pytest
from PIL import Image

from clients.api import Api
from clients.worker.backends import BackendError
from clients.worker.choosing import craft_of
from clients.worker.crafts.interrogations import Interrogations
from clients.worker.loop import Worker
from clients.worker.settings import checked
from clients.worker.sources import Limits
from clients.worker.tellers import Telling
from tests.unit.clients.stand_in import ACCEPTED, HASTY, HASTY_PACING, RELEASED, standing_in

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
async def server():
    async with standing_in() as server:
        server.on("releaseLease", RELEASED)
        server.on("submitResult", ACCEPTED)
        yield server


@asynccontextmanager
async def worked(server, kind: str, *, craft=None, jobs: int = 1, **settings: object):
    """A worker of this kind that has done so many leases."""
    lines: list[str] = []
    wanted = checked({"name": "w", "kind": kind, "wait_seconds": 0, **settings})
    craft = craft or craft_of(wanted)
    async with Api(server.url, "key", backoff=HASTY) as api, aiohttp.ClientSession() as storage:
        worker = Worker(
            api,
            storage,
            craft,
            craft.offered(wanted),
            max_jobs=jobs,
            pacing=HASTY_PACING,
            limits=Limits(seconds=2),
            say=lines.append,
        )
        await worker.run(asyncio.Event())
    assert not any("secret" in line for line in lines)
    yield worker, lines


def results(server) -> dict[str, dict]:
    return {
        result["generationId"]: result for wish in server.inputs("submitResult") for result in wish["results"]
    }


def flag() -> bytes:
    body = io.BytesIO()
    Image.new("RGB", (40, 20), (40, 80, 190)).save(body, "PNG")
    return body.getvalue()


async def test_texts_are_written_and_told_with_their_seeds(server):
    job = server.text_assignment(2)
    server.on("popJob", job)
    async with worked(server, "text", threads=2, max_length=99) as (worker, lines):
        pass
    assert server.inputs("popJob")[0]["text"] == {
        "models": ["procedural"],
        "threads": 2,
        "nsfw": True,
        "blacklist": [],
        "maxLength": 99,
        "maxContextLength": 2048,
    }
    told = results(server)
    assert sorted(told) == sorted(task["id"] for task in job["generations"])
    assert all((each["state"], each["seed"]) == ("OK", "7") for each in told.values())
    assert all("garden" in each["text"] and "form" not in each for each in told.values())
    assert server.pictures == {}, "nothing is uploaded"
    assert (worker.delivered, worker.standing().kind) == (2, "text")
    assert any("of job" in line and "procedural" in line for line in lines)


async def test_a_text_that_cannot_be_written_is_a_fault_and_an_empty_one_is_not(server):
    server.on(
        "popJob", server.text_assignment(max_length="long"), server.text_assignment(stop_sequence=[" "])
    )
    async with worked(server, "text", jobs=2) as (worker, _):
        pass
    outcomes = [(each["state"], each.get("text")) for each in results(server).values()]
    assert outcomes == [("FAULTED", None), ("OK", "")]
    assert worker.delivered == 1


async def test_forms_are_told_and_post_processed_pictures_uploaded(server):
    job = server.interrogation(flag(), "PALETTE", "CAPTION", "REALESRGAN_X2PLUS")
    server.on("popJob", job)
    async with worked(server, "interrogation", threads=3, max_tiles=4) as (worker, lines):
        pass
    offer = server.inputs("popJob")[0]["interrogation"]
    assert (offer["maxTiles"], "NSFW" in offer["forms"], "CAPTION" in offer["forms"]) == (4, False, True)
    palette, caption, larger = (results(server)[task["id"]] for task in job["forms"])
    assert [each["share"] for each in palette["form"]] == [1.0]
    assert "not seen" in caption["form"]
    assert "form" not in larger
    uploaded = server.pictures[job["forms"][2]["id"]]
    with Image.open(io.BytesIO(uploaded)) as picture:
        assert picture.size == (80, 40)
    assert set(server.pictures) == {"source", job["forms"][2]["id"]}
    assert not any("seed" in each for each in results(server).values())
    assert worker.delivered == 3
    assert any("CAPTION, PALETTE, REALESRGAN_X2PLUS" in line for line in lines)


@pytest.mark.parametrize(
    ("picture", "value"), [(None, "DOWNLOAD_FAILED"), (b"no picture", "PARSE_FAILED"), (b"", "PARSE_FAILED")]
)
async def test_a_picture_that_cannot_be_had_is_a_fault_of_each_form(server, picture, value):
    server.on("popJob", server.interrogation(picture, "PALETTE", "CAPTION"))
    async with worked(server, "interrogation") as (worker, _):
        pass
    note = [{"type": "SOURCE_IMAGE", "value": value}]
    assert [(each["state"], each["notes"]) for each in results(server).values()] == [("FAULTED", note)] * 2
    assert worker.delivered == 0


class Choosy:
    """Tells what is safe; everything else is too much for it."""

    confession = "tells little"
    forms = ("NSFW", "CAPTION")

    async def prepare(self):
        pass

    async def tell(self, form, picture):
        if form == "CAPTION":
            raise BackendError("cannot")
        return Telling(told=False)

    async def close(self):
        pass


async def test_what_is_false_is_an_answer_and_one_fault_harms_no_other_form(server):
    job = server.interrogation(flag(), "CAPTION", "NSFW", "PALETTE")
    server.on("popJob", job)
    async with worked(server, "interrogation", craft=Interrogations(Choosy())) as (worker, _):
        pass
    assert [results(server)[task["id"]]["state"] for task in job["forms"]] == ["FAULTED", "OK", "FAULTED"]
    assert results(server)[job["forms"][1]["id"]]["form"] is False
    assert worker.delivered == 1


async def test_leases_from_before_are_gone_on_with_if_they_are_for_this_worker(server):
    mine = server.interrogation(flag(), "PALETTE")
    unable, foreign = server.interrogation(flag(), "PALETTE", "NSFW"), server.text_assignment()
    server.answers["liveAssignments"].clear()
    server.on("liveAssignments", {"value": [foreign, unable, mine]})
    async with worked(server, "interrogation") as (worker, _):
        pass
    assert worker.delivered == 1
    assert {wish["leaseId"] for wish in server.inputs("submitResult")} == {mine["leaseId"]}
    assert {wish["leaseId"] for wish in server.inputs("releaseLease")} == {
        foreign["leaseId"],
        unable["leaseId"],
    }


async def test_only_the_forms_of_its_settings_are_offered(server):
    server.on("popJob", server.interrogation(flag(), "PALETTE"))
    async with worked(server, "interrogation", forms=["PALETTE", "NSFW"]):
        pass
    assert server.inputs("popJob")[0]["interrogation"]["forms"] == ["PALETTE"]
