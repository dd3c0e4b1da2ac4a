"""What is told of pictures by statistics and by a WebUI, and reading a network's weights."""

import base64
import io
import json
import pickle
import re
import struct
from collections import OrderedDict
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from aiohttp import web
from PIL import Image

from clients.worker.backends import BackendError
from clients.worker.settings import Form
from clients.worker.tellers import efficientnet
from clients.worker.tellers.efficientnet import EfficientNet
from clients.worker.tellers.statistics import UPSCALERS, StatisticsTeller, looks, palette, reckoned, score
from clients.worker.tellers.tensors import WeightsError, weights_of
from clients.worker.tellers.webui import POST_PROCESSORS, WebUITeller

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


def flag(size: tuple[int, int] = (120, 80)) -> Image.Image:
    """Three quarters blue, one quarter orange."""
    picture = Image.new("RGB", size, (40, 80, 190))
    picture.paste((240, 140, 30), (0, 0, size[0] // 4, size[1]))
    return picture


def noise(seed: int = 1) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (64, 64, 3), np.uint8))


# --- statistics


def test_the_palette_is_the_colours_with_their_shares():
    assert palette(flag()) == [{"hex": "#2850be", "share": 0.75}, {"hex": "#f08c1e", "share": 0.25}]


@pytest.mark.parametrize("picture", [flag(), noise(), Image.new("RGB", (1, 1)), Image.new("RGBA", (3, 900))])
@pytest.mark.parametrize("form", StatisticsTeller.forms)
def test_every_form_can_be_told_of_any_picture(form, picture):
    telling = reckoned(form, picture)
    assert (telling.picture is None) == (form not in UPSCALERS)
    assert telling == reckoned(form, picture), "the same picture, the same answer"


def test_words_and_keywords_are_those_of_the_picture_and_say_what_they_are():
    assert reckoned("CAPTION", flag()).told == (
        "A moderately lit, mostly blue and orange picture (reckoned from its colours, not seen)"
    )
    assert looks(flag())["blue"] == 0.75
    assert looks(flag())["wide"] == 1.0
    assert "dark" in looks(Image.new("RGB", (9, 9)))
    assert "not seen" in reckoned("DESCRIBE", flag()).told


def test_the_score_grows_with_colour_contrast_and_detail():
    grey = Image.new("RGB", (64, 64), (128, 128, 128))
    assert score(grey) == 0.0
    assert 0 < score(flag()) < score(noise()) <= 10


def test_the_vector_drawing_covers_the_picture_in_its_colours():
    drawing = ET.fromstring(reckoned("VECTORIZE", flag()).told)
    assert drawing.tag == "{http://www.w3.org/2000/svg}svg"
    assert (drawing.get("width"), drawing.get("height")) == ("120", "80")
    assert {shape.get("fill") for shape in drawing} == {"#2850be", "#f08c1e"}
    _, _, width, height = map(int, drawing.get("viewBox", "").split())
    assert sum(int(shape.get("width", 0)) for shape in drawing) == width * height
    assert len(reckoned("VECTORIZE", noise()).told) < 500_000


@pytest.mark.parametrize(("form", "factor"), [(form, 2 if "X2" in form else 4) for form in UPSCALERS])
def test_upscalers_enlarge_as_their_names_say(form, factor):
    body = reckoned(form, flag((20, 10))).picture
    assert body is not None
    with Image.open(io.BytesIO(body)) as enlarged:
        assert (enlarged.format, enlarged.size) == ("WEBP", (20 * factor, 10 * factor))


def test_what_cannot_be_reckoned_is_not_offered_and_a_fault():
    assert "NSFW" not in StatisticsTeller.forms
    for form in ("NSFW", "GFPGAN", "STRIP_BACKGROUND"):
        with pytest.raises(BackendError):
            reckoned(form, flag())
    with pytest.raises(BackendError, match="too large"):
        reckoned("NMKD_SIAX", Image.new("RGB", (5000, 2)))


# --- WebUI


@pytest.fixture
async def webui():
    """A WebUI that captions, and doubles what is to be post-processed."""
    asked = []

    async def interrogate(request: web.Request) -> web.Response:
        asked.append(await request.json())
        return web.Response(text=json.dumps({"caption": "a flag on a wall"}))

    async def extra(request: web.Request) -> web.Response:
        body = await request.json()
        asked.append(body)
        with Image.open(io.BytesIO(base64.b64decode(body["image"]))) as given:
            doubled = io.BytesIO()
            given.resize((given.width * 2, given.height * 2)).save(doubled, "PNG")
        return web.Response(text=json.dumps({"image": base64.b64encode(doubled.getvalue()).decode()}))

    app = web.Application()
    app.router.add_post("/sdapi/v1/interrogate", interrogate)
    app.router.add_post("/sdapi/v1/extra-single-image", extra)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    teller = WebUITeller(f"http://127.0.0.1:{runner.addresses[0][1]}")
    yield teller, asked
    await teller.close()
    await runner.cleanup()


async def test_a_webui_captions_and_post_processes_and_the_rest_is_reckoned(webui):
    teller, asked = webui
    assert (await teller.tell("CAPTION", flag())).told == "a flag on a wall"
    body = (await teller.tell("REALESRGAN_X2PLUS", flag())).picture
    with Image.open(io.BytesIO(body)) as made:
        assert (made.format, made.size) == ("WEBP", (240, 160))
    assert asked[1]["upscaler_1"] == "R-ESRGAN 4x+"
    assert (await teller.tell("PALETTE", flag())).told == palette(flag())
    assert len(asked) == 2
    with pytest.raises(BackendError):
        await teller.tell("NSFW", flag())


# --- weights


class _Storage:
    def __init__(self, name: str, array: np.ndarray) -> None:
        self.name, self.array = name, array


class _Global:
    """What a pickle names, by module and name."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name


class _Tensor:
    def __init__(self, storage: _Storage, offset: int, shape: tuple, strides: tuple) -> None:
        self.parts = storage, offset, shape, strides


class _Pickler(pickle._Pickler):  # type: ignore[name-defined]  # the one in Python can be taught to write names
    def persistent_id(self, obj):
        if isinstance(obj, _Storage):
            kind = "FloatStorage" if obj.array.dtype == np.float32 else "LongStorage"
            return ("storage", _Global("torch", kind), obj.name, "cpu", obj.array.size, None)
        return None

    def save(self, obj, save_persistent_id=True):
        if isinstance(obj, _Global):
            self.write(pickle.GLOBAL + f"{obj.module}\n{obj.name}\n".encode())
        elif isinstance(obj, _Tensor):
            storage, offset, shape, strides = obj.parts
            self.save(_Global("torch._utils", "_rebuild_tensor_v2"))
            self.save((storage, offset, shape, strides, False, OrderedDict()))
            self.write(pickle.REDUCE)
        else:
            super().save(obj, save_persistent_id)


def written(path, tensors: dict[str, _Tensor], *, mark: int = 0x1950A86A20F9469CFC6C, cut: int = 0):
    """A file as PyTorch before 1.6 wrote it."""
    storages = {tensor.parts[0].name: tensor.parts[0].array for tensor in tensors.values()}
    body = io.BytesIO()
    for part in (mark, 1001, {"little_endian": True}):
        pickle.dump(part, body, 2)
    _Pickler(body, 2).dump(OrderedDict(tensors))
    pickle.dump(list(storages), body, 2)
    for array in storages.values():
        body.write(struct.pack("<q", array.size) + array.tobytes())
    path.write_bytes(body.getvalue()[: len(body.getvalue()) - cut])
    return path


def test_weights_are_read_as_they_lie(tmp_path):
    numbers = _Storage("1", np.arange(12, dtype=np.float32))
    count = _Storage("2", np.array([5], np.int64))
    path = written(
        tmp_path / "w.pth",
        {
            "plain": _Tensor(numbers, 0, (3, 4), (4, 1)),
            "turned": _Tensor(numbers, 0, (4, 3), (1, 4)),
            "part": _Tensor(numbers, 4, (2,), (1,)),
            "count": _Tensor(count, 0, (), ()),
        },
    )
    found = weights_of(path)
    assert sorted(found) == ["part", "plain", "turned"], "whole numbers are no weights"
    plain = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert (found["plain"] == plain).all()
    assert (found["turned"] == plain.T).all()
    assert found["part"].tolist() == [4.0, 5.0]


def test_a_file_that_would_run_something_is_refused(tmp_path):
    class Bomb:
        def __reduce__(self) -> tuple:
            return print, ("boom",)

    path = tmp_path / "w.pth"
    path.write_bytes(pickle.dumps(Bomb(), 2))
    with pytest.raises(WeightsError, match=r"names .*print"):
        weights_of(path)


@pytest.mark.parametrize(
    "fault",
    [{"mark": 7}, {"cut": 8}, {"cut": 60}, {"tensor": (0, (13,), (1,))}, {"tensor": (0, (2,), (-1,))}],
)
def test_a_damaged_file_is_told(tmp_path, fault):
    place = fault.pop("tensor", (0, (12,), (1,)))
    tensors = {"a": _Tensor(_Storage("1", np.arange(12, dtype=np.float32)), *place)}
    with pytest.raises(WeightsError):
        weights_of(written(tmp_path / "w.pth", tensors, **fault))


@pytest.mark.parametrize(
    ("kernel", "stride", "size"), [(3, 1, (5, 4)), (3, 2, (8, 7)), (5, 2, (6, 9)), (5, 1, (4, 4))]
)
def test_convolutions_are_those_of_the_definition(kernel, stride, size):
    chance = np.random.default_rng(7)
    flow = chance.normal(size=(*size, 2)).astype(np.float32)
    weight, bias = chance.normal(size=(kernel, kernel, 2)).astype(np.float32), np.ones(2, np.float32)
    found = efficientnet._depthwise(flow, efficientnet._Layer(weight, bias), kernel, stride)
    height, width = -(-size[0] // stride), -(-size[1] // stride)
    down = max(0, (height - 1) * stride + kernel - size[0]) // 2
    along = max(0, (width - 1) * stride + kernel - size[1]) // 2
    assert found.shape == (height, width, 2)
    for y, x in np.ndindex(height, width):
        wanted = bias.copy()
        for i, j in np.ndindex(kernel, kernel):
            row, column = y * stride + i - down, x * stride + j - along
            if 0 <= row < size[0] and 0 <= column < size[1]:
                wanted += flow[row, column] * weight[i, j]
        assert np.allclose(found[y, x], wanted, atol=1e-4)


def test_weights_of_another_network_are_refused():
    with pytest.raises(KeyError, match="_bn0"):
        EfficientNet({})


def test_forms_have_the_names_that_settings_know():
    known = set(Form.__args__)
    assert known >= {*StatisticsTeller.forms, *WebUITeller.forms, *POST_PROCESSORS}
    assert all(re.fullmatch("[A-Z0-9_]+", form) for form in known)
