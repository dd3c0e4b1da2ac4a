"""The demo's story: a picture, a text, what the picture shows; every kudos is accounted for, and a replay proves it.

Every line it prints comes from the API, the bucket or a `hoard` command; nothing is made up. Look next:
`app.demo.stage`, `app.demo.documents`.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
from pathlib import Path
from typing import Any

import click
import msgspec
from PIL import Image

from app.demo import documents
from app.demo.stage import Stage, StageError
from app.embedded.running import adopt
from app.platform.objects import ObjectStore
from app.platform.settings import Settings
from clients.api import Api

PROMPT = "a lighthouse above a stormy sea, oil on canvas"
BEGINNING = "The lighthouse keeper looked at the stormy sea and"
#: what is told of the picture, and what real models can tell besides
FORMS = ("CAPTION", "INTERROGATION", "PALETTE", "AESTHETIC")
FORMS_OF_MODELS = ("NSFW", "DESCRIBE")
#: how long the shared picture may take to be published, in seconds
PATIENCE_SECONDS = 60


def chapter(title: str) -> None:
    """A heading."""
    click.secho(f"\n{title}", bold=True)


def say(text: str) -> None:
    """A line of the story."""
    click.echo(f"  {text}")


async def tell(stage: Stage, pictures: Path, *, models: Path | None = None) -> None:
    """The whole story; `models` is a Python that has real models for words, if they are to be used.

    Raises `StageError` where it goes wrong.
    """
    chapter("1. Two people register; an operator gives the client 50 kudos")
    alice = await _register(stage, "alice")
    bob = await _register(stage, "bob")
    stage.hoard("grant", alice["user"]["username"], "50", "--reason", "welcome to the demo")

    chapter("2. Alice submits an image job and shares the result; the price is promised beforehand")
    job = await _submit(stage, alice["apiKey"])

    chapter("3. Bob's worker pops it, draws, uploads; Alice follows by subscription")
    with stage.worker("bobs-easel", bob["apiKey"]):
        await _follow(stage, alice["apiKey"], job["job"]["id"])

    chapter("4. A Dramatiq actor checks the picture and puts it into the shared bucket")
    published = await _published(stage, int(job["position"]))
    picture = _show_picture(stage, published["data"], pictures)

    _words(stage, alice["apiKey"], bob["apiKey"], picture, models=models)

    chapter("7. Both kudos statements, line by line")
    for name, person in (("alice", alice), ("bob", bob)):
        await _statement(stage, name, person["apiKey"])

    chapter("8. The log proves it: verify the chain, rebuild every projection, compare")
    stage.hoard("log", "verify")
    stage.hoard("projections", "rebuild")
    stage.hoard("projections", "verify")


def _words(stage: Stage, client: str, owner: str, picture: Path, *, models: Path | None) -> None:
    """A text, and what the picture shows: asked on the command line, by the keys of both."""
    backend = ("--backend", "local" if models else "procedural")
    by = "a real language model on this CPU" if models else "no model, but made-up sentences"
    chapter(f"5. Alice asks for a text; Bob's second worker writes it ({by})")
    with stage.worker("bobs-desk", owner, "--kind", "text", *backend, python=models):
        stage.hoard("write", BEGINNING, "--length", "60", "--whole-sentences", api_key=client)
    by = "real models on this CPU" if models else "reckoned from colours, without a model"
    chapter(f"6. Alice asks what her picture shows; Bob's third worker tells ({by})")
    forms = [*FORMS, *(FORMS_OF_MODELS if models else ())]
    asked = [word for form in forms for word in ("--form", form)]
    with stage.worker(
        "bobs-lens", owner, "--kind", "interrogation", "--threads", "2", *backend, python=models
    ):
        stage.hoard("interrogate", str(picture), *asked, api_key=client)


async def _register(stage: Stage, name: str) -> dict[str, Any]:
    async with Api(stage.graphql) as api:
        person = await api.mutate(documents.REGISTER, {"username": name}, "registerUser")
    say(f"{person['user']['username']} registered at log position {person['position']}")
    return person


async def _submit(stage: Stage, key: str) -> dict[str, Any]:
    wish = {
        "prompt": PROMPT,
        "models": ["stable_diffusion"],
        "share": True,
        "params": {"width": 512, "height": 512, "steps": 30, "seed": "42"},
    }
    async with Api(stage.graphql, key) as api:
        submitted = await api.mutate(documents.SUBMIT, wish, "submitImageJob")
    quote = submitted["job"]["quote"]
    say(f"job {submitted['job']['id']} accepted at log position {submitted['position']}")
    for item in quote["items"]:
        say(f"  {item['amount']:>8}  {item['label']}")
    say(f"  {quote['total']:>8}  in all, and never more")
    return submitted


async def _follow(stage: Stage, key: str, job: str) -> None:
    async with Api(stage.graphql, key) as api:
        async for state in api.subscribe(documents.FOLLOW, {"id": job}, "jobUpdated"):
            (generation,) = state["generations"]
            by = f" by {generation['workerName']}" if generation["workerName"] else ""
            place = f", place {state['queuePosition']} in the queue" if state["queuePosition"] else ""
            say(
                f"job {state['state']}{place}; generation {generation['state']}{by}; charged {state['charged']}"
            )
    if state["state"] != "DONE":
        message = f"the job ended {state['state']}"
        raise StageError(message)


async def _published(stage: Stage, after: int) -> dict[str, Any]:
    async with Api(stage.graphql) as api:
        for _ in range(PATIENCE_SECONDS * 5):
            page = await api.query(documents.SHARED, {"after": str(after)}, "events")
            for edge in page["edges"]:
                event: dict[str, Any] = edge["node"]
                if event["type"] == "sharing.PicturePublished":
                    say(f"published at log position {event['position']}")
                    return event
                message = f"the picture was withheld: {event['data']['reason']}"
                raise StageError(message)
            await asyncio.sleep(0.2)
    message = "the picture was not published in time"
    raise StageError(message)


def _show_picture(stage: Stage, published: dict[str, Any], pictures: Path) -> Path:
    """Fetch picture and metadata from the bucket and compare them with the event; where it is now."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HOARD_")}
    adopt(environment, stage.data)
    settings = Settings.from_env(environment)
    store = ObjectStore(settings.s3_url, settings.s3_access_key, settings.s3_secret_key, settings.s3_region)
    name = published["generation"]
    picture = store.get(settings.bucket_shared, f"{name}.webp")
    metadata = msgspec.json.decode(store.get(settings.bucket_shared, f"{name}.json"))
    if hashlib.sha256(picture).hexdigest() != published["sha256"]:
        message = "the picture in the bucket is not the one that the log names"
        raise StageError(message)
    width, height = Image.open(io.BytesIO(picture)).size
    say(
        f"{settings.bucket_shared}/{name}.webp: {len(picture)} bytes, {width}x{height}, SHA-256 as in the log"
    )
    say(f"{settings.bucket_shared}/{name}.json:")
    for field, value in metadata.items():
        say(f"    {field}: {value}")
    pictures.mkdir(parents=True, exist_ok=True)
    saved = pictures / f"{name}.webp"
    saved.write_bytes(picture)
    say(f"look at it: {saved}")
    return saved


async def _statement(stage: Stage, name: str, key: str) -> None:
    async with Api(stage.graphql, key) as api:
        viewer = await api.query(documents.STATEMENT, {}, "viewer")
    say(f"{viewer['username']}: {viewer['kudos']} kudos, {viewer['held']} held")
    for edge in reversed(viewer["statement"]["edges"]):
        line = edge["node"]
        say(f"  #{line['position']:<4} {line['amount']:>8} -> {line['balance']:>8}  {line['reason']}")
        for item in line["breakdown"]:
            say(f"        {item['amount']:>8}  {item['label']}")
    if not viewer["statement"]["edges"]:
        say(f"  {name} has no movements")
