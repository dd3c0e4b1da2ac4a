"""The WebUI backend, against a small stand-in that speaks `/sdapi/v1`."""

import base64
import io
from typing import Any

import pytest
from aiohttp import web
from PIL import Image, PngImagePlugin

from clients.worker.backends import BackendError, Lora, Sources, Task, Wish
from clients.worker.backends.a1111 import WebUIBackend

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


def png(width: int, height: int) -> str:
    """A picture as the WebUI answers it: its file tells the prompt."""
    told = PngImagePlugin.PngInfo()
    told.add_text("parameters", "a secret prompt, Steps: 3")
    body = io.BytesIO()
    Image.new("RGB", (width, height), (200, 30, 90)).save(body, "PNG", pnginfo=told)
    return base64.b64encode(body.getvalue()).decode()


class WebUI:
    """What it is asked, and what it answers."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.extras: list[dict[str, Any]] = []
        self.from_sources: list[dict[str, Any]] = []
        self.interrogated: list[dict[str, Any]] = []
        self.described: dict[str, Any] = {"caption": "a fox in the snow"}
        self.schedulers = True
        self.status = 200
        self.answer: Any = None
        self.url = ""

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/sdapi/v1/txt2img", self._txt2img)
        app.router.add_post("/sdapi/v1/img2img", self._img2img)
        app.router.add_post("/sdapi/v1/interrogate", self._interrogate)
        app.router.add_get("/sdapi/v1/loras", self._loras)
        app.router.add_post("/sdapi/v1/extra-single-image", self._extra)
        app.router.add_get("/sdapi/v1/schedulers", self._schedulers)
        app.router.add_get("/sdapi/v1/sd-models", self._models)
        return app

    async def _txt2img(self, request: web.Request) -> web.Response:
        asked = await request.json()
        self.asked.append(asked)
        width, height = asked.get("hr_resize_x", asked["width"]), asked.get("hr_resize_y", asked["height"])
        answer = {"images": [png(width, height)]} if self.answer is None else self.answer
        return web.json_response(answer, status=self.status)

    async def _img2img(self, request: web.Request) -> web.Response:
        asked = await request.json()
        self.from_sources.append(asked)
        return web.json_response({"images": [png(asked["width"], asked["height"])]})

    async def _interrogate(self, request: web.Request) -> web.Response:
        self.interrogated.append(await request.json())
        return web.json_response(self.described)

    async def _loras(self, _request: web.Request) -> web.Response:
        return web.json_response([{"name": "ink", "alias": "Ink", "path": "/models/ink.safetensors"}])

    async def _extra(self, request: web.Request) -> web.Response:
        asked = await request.json()
        self.extras.append(asked)
        with Image.open(io.BytesIO(base64.b64decode(asked["image"]))) as image:
            factor = asked["upscaling_resize"]
            return web.json_response({"image": png(image.width * factor, image.height * factor)})

    async def _schedulers(self, _request: web.Request) -> web.Response:
        return web.json_response([{"name": "karras"}], status=200 if self.schedulers else 404)

    async def _models(self, _request: web.Request) -> web.Response:
        return web.json_response([{"title": "dreams.safetensors [abc]", "model_name": "dreams"}])


@pytest.fixture
async def webui():
    webui = WebUI()
    runner = web.AppRunner(webui.app(), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    webui.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield webui
    await runner.cleanup()


@pytest.fixture
async def backend(webui):
    backend = WebUIBackend(webui.url)
    yield backend
    await backend.close()


def task(model: str = "stable_diffusion", seed: str = "42", **wish: Any) -> Task:
    return Task(generation_id="g", model=model, seed=seed, wish=Wish(prompt="a cat", **wish))


async def test_a_picture_comes_back_as_webp_without_what_the_webui_wrote_into_it(webui, backend):
    picture = await backend.generate(
        task(width=128, height=64, steps=3, cfg_scale=6.5, negative_prompt="dog")
    )
    with Image.open(io.BytesIO(picture.body)) as image:
        assert (image.format, image.size) == ("WEBP", (128, 64))
    assert b"secret" not in picture.body
    assert picture.seed == "42"
    asked = webui.asked[0]
    assert (asked["prompt"], asked["negative_prompt"], asked["seed"]) == ("a cat", "dog", 42)
    assert (asked["width"], asked["height"], asked["steps"], asked["cfg_scale"]) == (128, 64, 3, 6.5)
    assert "enable_hr" not in asked


@pytest.mark.parametrize(
    ("sampler", "name"),
    [("k_euler_a", "Euler a"), ("DDIM", "DDIM"), ("k_dpmpp_sde", "DPM++ SDE"), ("lcm", "LCM")],
)
async def test_samplers_have_the_names_of_the_webui(webui, backend, sampler, name):
    await backend.generate(task(sampler_name=sampler, karras=True, tiling=True, clip_skip=2))
    asked = webui.asked[0]
    assert (asked["sampler_name"], asked["scheduler"], asked["tiling"]) == (name, "Karras", True)
    assert asked["override_settings"]["CLIP_stop_at_last_layers"] == 2


async def test_an_older_webui_takes_karras_in_the_samplers_name(webui, backend):
    webui.schedulers = False
    await backend.generate(task(sampler_name="k_dpmpp_2m", karras=True))
    await backend.generate(task(sampler_name="k_euler", karras=True))
    assert [asked["sampler_name"] for asked in webui.asked] == ["DPM++ 2M Karras", "Euler"]
    assert "scheduler" not in webui.asked[0]


async def test_hires_fix_starts_small_and_ends_in_the_asked_size(webui, backend):
    picture = await backend.generate(task(width=1024, height=1536, hires_fix=True))
    asked = webui.asked[0]
    assert (asked["enable_hr"], asked["width"], asked["height"]) == (True, 512, 768)
    with Image.open(io.BytesIO(picture.body)) as image:
        assert image.size == (1024, 1536)


async def test_a_known_checkpoint_is_switched_to(webui, backend):
    await backend.generate(task(model="dreams"))
    await backend.generate(task(model="stable_diffusion"))
    chosen = [asked["override_settings"].get("sd_model_checkpoint") for asked in webui.asked]
    assert chosen == ["dreams", None]


async def test_post_processors_run_in_order(webui, backend):
    wish = {"width": 64, "height": 64, "post_processing": ("GFPGAN", "RealESRGAN_x4plus")}
    picture = await backend.generate(task(**wish))
    assert [extra.get("upscaler_1") for extra in webui.extras] == [None, "R-ESRGAN 4x+"]
    with Image.open(io.BytesIO(picture.body)) as image:
        assert image.size == (256, 256)


@pytest.mark.parametrize(
    ("status", "answer"),
    [(500, {"error": "OutOfMemory"}), (200, {}), (200, {"images": []}), (200, {"images": ["%%"]}), (200, [])],
)
async def test_an_answer_without_a_picture_is_a_fault(webui, backend, status, answer):
    webui.status, webui.answer = status, answer
    with pytest.raises(BackendError):
        await backend.generate(task())


@pytest.mark.parametrize("wish", [{"sampler_name": "k_unknown"}, {"post_processing": ("strip_background",)}])
async def test_what_the_webui_cannot_do_is_a_fault(backend, wish):
    with pytest.raises(BackendError):
        await backend.generate(task(**wish))


async def test_a_webui_that_is_not_there_is_a_fault():
    backend = WebUIBackend("http://127.0.0.1:9")
    with pytest.raises(BackendError, match="did not answer"):
        await backend.generate(task())
    await backend.close()


def test_an_address_that_is_none_is_refused():
    with pytest.raises(ValueError, match="not an http"):
        WebUIBackend("127.0.0.1:7860")


def sources(processing: str = "img2img", *, mask: bool = False) -> Sources:
    picture = base64.b64decode(png(64, 64))
    return Sources(processing=processing, image=picture, mask=picture if mask else None)


def started_from(given: Sources, **wish: Any) -> Task:
    return Task(generation_id="g", model="m", seed="42", wish=Wish(prompt="a cat", **wish), sources=given)


async def test_a_source_goes_to_img2img_with_its_strength(webui, backend):
    await backend.generate(
        started_from(sources(), denoising_strength=0.3, hires_fix=True, width=1024, height=1024)
    )
    await backend.generate(started_from(sources()))
    first, second = webui.from_sources
    assert base64.b64decode(first["init_images"][0]) == sources().image
    assert (first["denoising_strength"], second["denoising_strength"]) == (0.3, 0.75)
    assert (first["prompt"], first["seed"], first["width"]) == ("a cat", 42, 1024)
    assert not {"mask", "enable_hr"} & set(first)
    assert webui.asked == []


@pytest.mark.parametrize("processing", ["inpainting", "outpainting"])
async def test_what_is_white_in_the_mask_is_painted(webui, backend, processing):
    await backend.generate(started_from(sources(processing, mask=True)))
    (asked,) = webui.from_sources
    assert base64.b64decode(asked["mask"]) == sources(mask=True).mask
    assert (asked["inpainting_mask_invert"], asked["inpainting_fill"]) == (0, 1)


async def test_loras_that_the_webui_has_are_named_in_the_prompt(webui, backend):
    await backend.generate(task(loras=(Lora(name="ink", model=0.5),)))
    assert webui.asked[0]["prompt"] == "a cat <lora:ink:0.5>"
    with pytest.raises(BackendError, match="LoRA"):
        await backend.generate(task(loras=(Lora(name="unknown"),)))


async def test_the_strength_of_a_face_fixer_is_kept(webui, backend):
    await backend.generate(task(post_processing=("CodeFormers",), facefixer_strength=0.25))
    assert webui.extras[0]["codeformer_visibility"] == 0.25


async def test_a_picture_can_be_described(webui, backend):
    assert await backend.caption(b"picture") == "a fox in the snow"
    assert webui.interrogated == [{"image": base64.b64encode(b"picture").decode(), "model": "clip"}]
    webui.described = {"caption": "<error>"}
    with pytest.raises(BackendError):
        await backend.caption(b"picture")


@pytest.mark.parametrize("wish", [{"control_type": "canny"}, {"transparent": True}, {"workflow": "qr_code"}])
async def test_what_this_backend_does_not_do_is_a_fault_too(backend, wish):
    with pytest.raises(BackendError):
        await backend.generate(task(**wish))
