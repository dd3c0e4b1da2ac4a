"""`hoard generate`: what it sends, how it watches, what it saves, how it ends."""

import asyncio
import hashlib
import json
import os
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from clients import generate as command
from clients import ordering as program
from clients.api import Api
from clients.following import Watch, follow
from clients.generate import generate_command
from clients.generate_options import wish_of
from clients.ordering import Order, carry_out
from clients.report import Report, progress_line
from clients.shapes import JobView
from tests.unit.clients.stand_in import HASTY, refusal, standing_in

pytestmark = pytest.mark.anyio
QUOTE = {
    "total": "12.00",
    "items": [{"label": "steps", "amount": "9.00"}, {"label": "tax", "amount": "3.00"}],
}
QUICK = Watch(every=0.01)
ROOT = Path(__file__).parents[3]
PLAIN = {"prompt": "a fox"}


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
async def server():
    async with standing_in() as server:
        server.on("quoteImageJob", {"__typename": "QuoteSuccess", "quote": QUOTE, "warnings": []})
        yield server


def job(state: str, *generations: dict, **more) -> dict:
    shape = {"id": "job-1", "state": state, "charged": "12.00", "quote": QUOTE, "queuePosition": None}
    return {**shape, "estimatedWaitSeconds": None, "generations": list(generations), **more}


def made(server, name: str, body: bytes, *, etag: str | None = None) -> dict:
    server.pictures[name] = body
    return {
        "id": name,
        "state": "DONE",
        "seed": "7",
        "model": "m",
        "workerName": "w",
        "imageUrl": f"{server.url}/store/{name}",
        "sha256": hashlib.sha256(body).hexdigest(),
        "etag": etag or hashlib.md5(body).hexdigest(),
    }


def submitted(state: dict) -> dict:
    warnings = [{"code": "NO_AVAILABLE_WORKER", "message": "nobody serves this now"}]
    return {"__typename": "SubmitImageJobSuccess", "job": state, "accessKey": "access", "warnings": warnings}


async def run(server, out, *, as_json=True, **wish) -> int:
    order = Order(url=server.url, key="", wish=wish_of(**{**PLAIN, **wish}), out=out, watch=QUICK)
    return await carry_out(order, Report(as_json=as_json))


def test_only_what_was_given_is_sent():
    assert wish_of(**PLAIN) == {"prompt": "a fox"}
    full = wish_of(
        **{**PLAIN, "models": ("a", "b"), "width": 64, "cfg": 7.5, "sampler": "k_euler_a", "seed": "0"},
    )
    assert full["models"] == ["a", "b"]
    assert full["params"] == {"width": 64, "cfgScale": 7.5, "sampler": "K_EULER_A", "seed": "0"}
    assert wish_of(**{**PLAIN, "share": False})["share"] is False


async def test_pictures_are_saved_under_their_ids_and_summed_up(server, tmp_path, capsys):
    pictures = [made(server, "one", b"first"), made(server, "two", b"second")]
    waiting = [{"id": "one", "state": "WAITING"}, {"id": "two", "state": "WAITING"}]
    server.on("submitImageJob", submitted(job("WAITING", *waiting)))
    server.updates.append([job("WAITING", *waiting, queuePosition=3), job("DONE", *pictures)])
    server.on("job", job("DONE", *pictures))
    assert await run(server, tmp_path / "new" / "folder", n=2) == 0
    folder = tmp_path / "new" / "folder"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        "one.webp": b"first",
        "two.webp": b"second",
    }
    printed = capsys.readouterr()
    answer = json.loads(printed.out)
    assert (answer["state"], answer["charged"], answer["accessKey"]) == ("DONE", "12.00", "access")
    assert [picture["path"] for picture in answer["pictures"]] == [
        str(folder / "one.webp"),
        str(folder / "two.webp"),
    ]
    assert answer["warnings"][0]["code"] == "NO_AVAILABLE_WORKER"
    assert "place 3 in the queue" in printed.err
    quoted, sent = server.inputs("quoteImageJob")[0], dict(server.inputs("submitImageJob")[0])
    assert sent.pop("idempotencyKey")
    assert sent == quoted == {"prompt": "a fox", "params": {"n": 2}}


async def test_without_a_websocket_the_job_is_polled(server, tmp_path, capsys):
    server.on("submitImageJob", submitted(job("WAITING")))
    picture = made(server, "one", b"x")
    server.on("job", job("WAITING"), job("PROCESSING"), job("DONE", picture))
    assert await run(server, tmp_path, as_json=False) == 0
    printed = capsys.readouterr()
    assert (tmp_path / "one.webp").read_bytes() == b"x"
    assert "DONE, cost 12.00 kudos of at most 12.00" in printed.out
    assert "costs at most 12.00 kudos (steps 9.00, tax 3.00)" in printed.err


async def test_a_lost_subscription_is_made_anew(server):
    server.updates.extend([[job("WAITING")], [job("PROCESSING"), job("DONE")]])
    server.on("job", job("WAITING"))
    async with Api(server.url, backoff=HASTY) as api:
        states = [state.state async for state in follow(api, "job-1", "access", QUICK)]
    assert states == ["WAITING", "WAITING", "PROCESSING", "DONE"]


@pytest.mark.parametrize(
    ("state", "generations"),
    [
        ("FAULTED", [{"id": "one", "state": "FAULTED"}]),
        ("EXPIRED", [{"id": "one", "state": "CANCELLED"}]),
        ("DONE", [{"id": "one", "state": "FAULTED"}]),
        ("DONE", [{"id": "one", "state": "DONE"}]),
    ],
    ids=["faulted", "expired", "partly faulted", "no link"],
)
async def test_anything_less_than_all_pictures_is_a_failure(server, tmp_path, state, generations):
    server.on("submitImageJob", submitted(job("WAITING")))
    server.on("job", job(state, *generations))
    assert await run(server, tmp_path) == 1


async def test_a_picture_that_differs_from_the_delivered_one_is_not_saved(server, tmp_path, capsys):
    server.on("submitImageJob", submitted(job("WAITING")))
    server.on("job", job("DONE", made(server, "one", b"swapped", etag="0" * 32)))
    assert await run(server, tmp_path) == 1
    assert list(tmp_path.iterdir()) == []
    assert "differs" in capsys.readouterr().err


async def test_a_refusal_is_told_with_code_message_and_path(server, tmp_path, capsys):
    server.answers["quoteImageJob"].clear()
    server.on("quoteImageJob", refusal("INVALID_INPUT", "a multiple of 64", ("input", "params", "width")))
    assert await run(server, tmp_path, width=65) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    path = ["input", "params", "width"]
    assert error == {"code": "INVALID_INPUT", "message": "a multiple of 64", "path": path}
    assert await run(server, tmp_path, as_json=False, width=65) == 2
    assert "INVALID_INPUT: a multiple of 64 (at input.params.width)" in capsys.readouterr().err
    assert server.inputs("submitImageJob") == []


async def test_a_server_that_is_not_there_is_a_failure(server, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(program, "PATIENCE", 0.2)
    await server.stop()
    assert await run(server, tmp_path) == 1
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "UNREACHABLE"


@asynccontextmanager
async def the_command(*arguments: str):
    """The command as a process of its own, as a user starts it."""
    starter = "from clients.generate import generate_command as c; c()"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        starter,
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_ctrl_c_cancels_the_job_and_keeps_what_was_made(server, tmp_path):
    server.on("submitImageJob", submitted(job("WAITING")))
    server.on("job", job("PROCESSING"))
    left = job("CANCELLED", made(server, "one", b"kept"), {"id": "two", "state": "CANCELLED"})
    server.on("cancelJob", {"__typename": "CancelJobSuccess", "job": left})
    async with the_command("a fox", "--url", server.url, "--out", str(tmp_path), "--json") as process:
        async with asyncio.timeout(30):
            while not server.inputs("job"):
                await asyncio.sleep(0.02)
            process.send_signal(signal.SIGINT)
            out, _ = await process.communicate()
    assert process.returncode == 1
    assert server.inputs("cancelJob") == [{"id": "job-1", "accessKey": "access"}]
    assert json.loads(out)["state"] == "CANCELLED"
    assert (tmp_path / "one.webp").read_bytes() == b"kept"


@pytest.mark.parametrize(
    "arguments", [[], ["p", "--sampler", "k_none"], ["p", "--url", "ftp://x"], ["p", "--n", "x"]]
)
def test_wrong_usage_ends_with_two(arguments):
    assert CliRunner().invoke(generate_command, arguments).exit_code == 2


def test_options_reach_the_order(monkeypatch, tmp_path):
    orders = []

    async def taken(order, _report):
        orders.append(order)
        return 0

    monkeypatch.setattr(command, "carry_out", taken)
    monkeypatch.setenv("HOARD_API_KEY", "from the environment")
    arguments = ["a fox", "--sampler", "K_Euler_a", "--n", "2", "--no-share", "--nsfw", "--max-kudos", "5.50"]
    result = CliRunner().invoke(generate_command, [*arguments, "--out", str(tmp_path), "--url", "h:9"])
    assert result.exit_code == 0
    (order,) = orders
    assert (order.url, order.key, order.out) == ("http://h:9/graphql", "from the environment", tmp_path)
    assert order.wish == {
        "prompt": "a fox",
        "share": False,
        "nsfw": True,
        "maxKudos": "5.50",
        "params": {"sampler": "K_EULER_A", "n": 2},
    }


def test_progress_is_told_in_a_few_words():
    view = msgspec.convert(
        job(
            "PROCESSING",
            {"id": "1", "state": "DONE"},
            {"id": "2", "state": "PROCESSING"},
            estimatedWaitSeconds=9,
        ),
        JobView,
    )
    assert progress_line(view) == "processing, 1 of 2 done, 1 under way, about 9 s to go"


def test_every_option_has_its_place_in_the_input():
    wish = wish_of(
        prompt="a fox",
        karras=False,
        tiling=True,
        hires_fix=True,
        clip_skip=2,
        post_processing=("gfpgan", "REALESRGAN_X4PLUS"),
        loras=("ink", "pen=0.5", "a=b"),
        processing="inpainting",
        strength=0.4,
        control="canny",
        image_is_control=True,
        workers=("w1",),
        deny=True,
        slow_workers=False,
        extra_slow_workers=True,
        trusted_workers=True,
        downgrade=True,
        max_kudos="5.00",
    )
    assert wish == {
        "prompt": "a fox",
        "maxKudos": "5.00",
        "sourceProcessing": "INPAINTING",
        "workers": ["w1"],
        "denyWorkers": True,
        "trustedWorkers": True,
        "slowWorkers": False,
        "extraSlowWorkers": True,
        "allowDowngrade": True,
        "params": {
            "karras": False,
            "tiling": True,
            "hiresFix": True,
            "clipSkip": 2,
            "postProcessing": ["GFPGAN", "REALESRGAN_X4PLUS"],
            "denoisingStrength": 0.4,
            "controlType": "CANNY",
            "imageIsControl": True,
            "loras": [{"name": "ink"}, {"name": "pen", "model": 0.5, "clip": 0.5}, {"name": "a=b"}],
        },
    }


def test_the_command_line_reaches_the_order(monkeypatch):
    orders = []

    async def noted(order, _report):
        orders.append(order)
        return 0

    monkeypatch.setattr(command, "carry_out", noted)
    arguments = [
        "a fox",
        "--lora",
        "ink",
        "--no-slow-workers",
        "--hires-fix",
        "--source",
        "a.png",
        "--mask",
        "b.png",
    ]
    assert CliRunner().invoke(generate_command, arguments).exit_code == 0
    (order,) = orders
    assert order.sources == {"source": "a.png", "sourceMask": "b.png"}
    params = {"loras": [{"name": "ink"}], "hiresFix": True}
    assert order.wish == {"prompt": "a fox", "params": params, "slowWorkers": False}


async def test_files_are_uploaded_and_links_handed_on(server, tmp_path, capsys):
    (tmp_path / "in.png").write_bytes(b"a source")
    upload = {"id": "up-1", "url": f"{server.url}/store/up-1"}
    server.on("createUpload", {"__typename": "CreateUploadSuccess", "upload": upload})
    server.on("submitImageJob", submitted(job("DONE")))
    server.on("job", job("DONE"))
    sources = {"source": str(tmp_path / "in.png"), "sourceMask": "https://example.org/mask.png"}
    order = Order(url=server.url, key="", wish=wish_of(**PLAIN), sources=sources, out=tmp_path, watch=QUICK)
    assert await carry_out(order, Report(as_json=True)) == 0
    assert server.inputs("createUpload")[0]["contentLength"] == 8
    assert server.pictures["up-1"] == b"a source"
    assert "content-type" not in server.put_headers[0]
    sent = server.inputs("quoteImageJob")[0]
    assert sent == {
        "prompt": "a fox",
        "source": {"uploadId": "up-1"},
        "sourceMask": {"url": "https://example.org/mask.png"},
        "sourceProcessing": "INPAINTING",
    }


@pytest.mark.parametrize(("there", "code"), [(False, "NO_FILE"), (True, "NOT_UPLOADED")])
async def test_a_source_that_cannot_be_brought_ends_it_before_anything_is_paid(
    server, tmp_path, capsys, there, code
):
    if there:
        (tmp_path / "in.png").write_bytes(b"a source")
    server.put_statuses.append(403)
    upload = {"id": "up-1", "url": f"{server.url}/store/up-1"}
    server.on("createUpload", {"__typename": "CreateUploadSuccess", "upload": upload})
    sources = {"source": str(tmp_path / "in.png")}
    order = Order(url=server.url, key="", wish=wish_of(**PLAIN), sources=sources, out=tmp_path, watch=QUICK)
    assert await carry_out(order, Report(as_json=True)) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == code
    assert server.inputs("submitImageJob") == []
