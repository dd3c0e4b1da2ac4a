"""The ComfyUI backend, against a small stand-in that speaks its HTTP interface and checks workflows as it does."""

import asyncio
import io
import json
import uuid
from typing import Any

import pytest
from aiohttp import web
from PIL import Image

from clients import generate_options
from clients.worker.backends import BackendError, Lora, Sources, Task, Wish, a1111_requests
from clients.worker.backends.comfyui import ComfyUIBackend
from clients.worker.backends.comfyui_workflows import NAMES, SAMPLERS, SHIPPED, templates

pytestmark = pytest.mark.anyio
CHECKPOINTS = ["photo.safetensors", "folder/dreams.ckpt"]


@pytest.fixture
def anyio_backend():
    return "asyncio"


def png(width: int = 64, height: int = 64) -> bytes:
    body = io.BytesIO()
    Image.new("RGB", (width, height), (200, 30, 90)).save(body, "PNG")
    return body.getvalue()


class ComfyUI:
    """Its queue and its files. A workflow is done after so many looks at its history."""

    def __init__(self) -> None:
        self.graphs: dict[str, dict[str, Any]] = {}
        self.uploads: dict[str, bytes] = {}
        self.looks = 1
        self.looked = 0
        self.status = "success"
        self.running = False
        self.interrupted: list[Any] = []
        self.deleted: list[str] = []
        self.modern = False
        self.url = ""

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/prompt", self._prompt)
        app.router.add_get("/history/{id}", self._history)
        app.router.add_get("/view", self._view)
        app.router.add_post("/upload/image", self._upload)
        app.router.add_get("/object_info/{node}", self._object_info)
        app.router.add_get("/queue", self._queue)
        app.router.add_post("/queue", self._delete)
        app.router.add_post("/interrupt", self._interrupt)
        return app

    async def _prompt(self, request: web.Request) -> web.Response:
        graph = (await request.json())["prompt"]
        faults = [
            f"{node}.{key}"
            for node, each in graph.items()
            for key, value in each["inputs"].items()
            if isinstance(value, list) and value[0] not in graph
        ]
        files = {
            node["inputs"]["image"] for node in graph.values() if node["class_type"].startswith("LoadImage")
        }
        checkpoints = {node["inputs"].get("ckpt_name") for node in graph.values()} - {None}
        if faults or files - set(self.uploads) or checkpoints - set(CHECKPOINTS):
            answer = {"error": {"type": "prompt_outputs_failed_validation"}, "node_errors": faults}
            return web.json_response(answer, status=400)
        prompt = str(uuid.uuid4())
        self.graphs[prompt] = graph
        return web.json_response({"prompt_id": prompt, "number": 1, "node_errors": {}})

    async def _history(self, request: web.Request) -> web.Response:
        self.looked += 1
        if self.looked <= self.looks:
            return web.json_response({})
        prompt = request.match_info["id"]
        images = [
            {"filename": "preview.png", "subfolder": "", "type": "temp"},
            {"filename": "hoard_00001_.png", "subfolder": "", "type": "output"},
        ]
        outputs = {} if self.status == "error" else {"save": {"images": images}}
        status = {"status_str": self.status, "completed": self.status == "success", "messages": []}
        return web.json_response({prompt: {"prompt": [], "outputs": outputs, "status": status}})

    async def _view(self, request: web.Request) -> web.Response:
        if request.query["filename"] != "hoard_00001_.png" or request.query["type"] != "output":
            return web.Response(status=404)
        return web.Response(body=png(128, 64), content_type="image/png")

    async def _upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        image = form["image"]
        assert isinstance(image, web.FileField)
        assert (form["type"], form["overwrite"]) == ("input", "true")
        self.uploads[image.filename] = image.file.read()
        return web.json_response({"name": image.filename, "subfolder": "", "type": "input"})

    async def _object_info(self, request: web.Request) -> web.Response:
        node = request.match_info["node"]
        field, files = {
            "CheckpointLoaderSimple": ("ckpt_name", CHECKPOINTS),
            "LoraLoader": ("lora_name", ["ink.safetensors"]),
        }[node]
        described = ["COMBO", {"options": files}] if self.modern else [files]
        return web.json_response({node: {"input": {"required": {field: described}}}})

    async def _queue(self, _request: web.Request) -> web.Response:
        running = [[0, prompt, {}, {}, []] for prompt in self.graphs] if self.running else []
        return web.json_response({"queue_running": running, "queue_pending": []})

    async def _delete(self, request: web.Request) -> web.Response:
        self.deleted += (await request.json())["delete"]
        return web.Response()

    async def _interrupt(self, request: web.Request) -> web.Response:
        self.interrupted.append(await request.json())
        return web.Response()

    def inputs(self, node: str) -> dict[str, Any]:
        (graph,) = self.graphs.values()
        inputs: dict[str, Any] = graph[node]["inputs"]
        return inputs


@pytest.fixture
async def comfy():
    comfy = ComfyUI()
    runner = web.AppRunner(comfy.app(), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    comfy.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield comfy
    await runner.cleanup()


@pytest.fixture
async def backend(comfy):
    backend = ComfyUIBackend(comfy.url, look_seconds=0.01)
    yield backend
    await backend.close()


def task(model: str = "stable_diffusion", sources: Sources | None = None, **wish: Any) -> Task:
    return Task(generation_id="g", model=model, seed="42", wish=Wish(prompt="a cat", **wish), sources=sources)


async def test_a_picture_is_drawn_with_everything_that_was_asked_for(comfy, backend):
    wish = {"negative_prompt": "dog", "width": 128, "height": 64, "steps": 7, "cfg_scale": 6.5}
    picture = await backend.generate(task(**wish, karras=True, clip_skip=2, sampler_name="k_dpmpp_2m"))
    with Image.open(io.BytesIO(picture.body)) as image:
        assert (image.format, image.size) == ("WEBP", (128, 64))
    assert picture.seed == "42"
    assert (comfy.inputs("positive")["text"], comfy.inputs("negative")["text"]) == ("a cat", "dog")
    assert comfy.inputs("latent") == {"width": 128, "height": 64, "batch_size": 1}
    assert comfy.inputs("clip")["stop_at_clip_layer"] == -2
    sampler = comfy.inputs("sampler")
    assert (sampler["seed"], sampler["steps"], sampler["cfg"], sampler["denoise"]) == (42, 7, 6.5, 1.0)
    assert (sampler["sampler_name"], sampler["scheduler"]) == ("dpmpp_2m", "karras")
    assert comfy.looked == 2, "it waited for the end"


@pytest.mark.parametrize("modern", [False, True])
async def test_a_checkpoint_of_the_models_name_is_chosen_before_any_other(comfy, backend, modern):
    comfy.modern = modern
    await backend.generate(task(model="dreams"))
    assert comfy.inputs("checkpoint")["ckpt_name"] == "folder/dreams.ckpt"
    comfy.graphs.clear()
    await backend.generate(task(model="unheard of"))
    assert comfy.inputs("checkpoint")["ckpt_name"] == "photo.safetensors"


async def test_a_source_is_uploaded_scaled_and_strayed_from(comfy, backend):
    given = Sources(processing="img2img", image=png())
    await backend.generate(task(sources=given, width=128, height=64, denoising_strength=0.4))
    assert comfy.uploads == {"hoard-g.png": given.image}
    assert comfy.inputs("source")["image"] == "hoard-g.png"
    assert (comfy.inputs("scaled")["width"], comfy.inputs("scaled")["height"]) == (128, 64)
    assert comfy.inputs("sampler")["denoise"] == 0.4


async def test_only_what_the_mask_says_is_painted(comfy, backend):
    given = Sources(processing="inpainting", image=png(), mask=png())
    await backend.generate(task(sources=given))
    assert comfy.inputs("mask") == {"image": "hoard-g-mask.png", "channel": "red"}
    assert comfy.inputs("sampler")["latent_image"] == ["masked", 0]
    assert comfy.inputs("sampler")["denoise"] == 0.75


async def test_loras_are_put_one_after_another_behind_the_checkpoint(comfy, backend):
    await backend.generate(task(loras=(Lora(name="ink", model=0.5), Lora(name="ink", clip=0.25))))
    model = comfy.inputs("sampler")["model"]
    assert comfy.inputs("clip")["clip"] == [model[0], 1]
    first = comfy.inputs(model[0])
    second = comfy.inputs(first["model"][0])
    assert {first["strength_model"], second["strength_model"]} == {0.5, 1.0}
    assert second["model"] == ["checkpoint", 0]
    assert comfy.inputs("decode")["vae"] == ["checkpoint", 2]
    with pytest.raises(BackendError, match="LoRA"):
        await backend.generate(task(loras=(Lora(name="unknown"),)))


@pytest.mark.parametrize(
    "wish",
    [
        {"sampler_name": "k_unknown"},
        {"post_processing": ("GFPGAN",)},
        {"tiling": True},
        {"control_type": "canny"},
    ],
)
async def test_what_it_cannot_do_is_a_fault(comfy, backend, wish):
    with pytest.raises(BackendError):
        await backend.generate(task(**wish))
    assert comfy.graphs == {}


async def test_a_workflow_that_fails_or_is_not_taken_is_a_fault(comfy):
    comfy.status = "error"
    failing = ComfyUIBackend(comfy.url, look_seconds=0.01)
    with pytest.raises(BackendError, match="could not draw"):
        await failing.generate(task())
    await failing.close()
    wrong = ComfyUIBackend(comfy.url, checkpoint="gone.safetensors")
    with pytest.raises(BackendError, match="400"):
        await wrong.generate(task())
    await wrong.close()


@pytest.mark.parametrize("running", [False, True])
async def test_what_nobody_waits_for_is_taken_out_and_only_that(comfy, backend, running):
    comfy.looks, comfy.running = 10**6, running
    drawing = asyncio.create_task(backend.generate(task()))
    async with asyncio.timeout(10):
        while not comfy.looked:
            await asyncio.sleep(0.005)
    drawing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await drawing
    (prompt,) = comfy.graphs
    assert comfy.deleted == [prompt]
    assert comfy.interrupted == ([{"prompt_id": prompt}] if running else [])


async def test_a_comfyui_that_is_not_there_is_a_fault():
    backend = ComfyUIBackend("http://127.0.0.1:9")
    with pytest.raises(BackendError, match="did not answer"):
        await backend.generate(task())
    await backend.close()


def test_workflows_of_ones_own_go_before_the_shipped_ones(tmp_path):
    mine = json.loads((SHIPPED / "txt2img.json").read_text())
    mine["save"]["inputs"]["filename_prefix"] = "mine"
    (tmp_path / "txt2img.json").write_text(json.dumps(mine))
    found = templates(tmp_path)
    assert found["txt2img"]["save"]["inputs"]["filename_prefix"] == "mine"
    assert set(found) == set(NAMES)
    (tmp_path / "img2img.json").write_text('{"nodes": []}')
    with pytest.raises(ValueError, match="API format"):
        templates(tmp_path)
    with pytest.raises(ValueError, match="not an http"):
        ComfyUIBackend("127.0.0.1:8188")


def test_every_sampler_of_the_api_has_a_name_there():
    assert (
        {name.lower() for name in generate_options.SAMPLERS} == set(SAMPLERS) == set(a1111_requests.SAMPLERS)
    )
