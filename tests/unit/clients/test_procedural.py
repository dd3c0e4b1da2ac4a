"""The procedural backend: the same task gives the same bytes, in the asked size."""

import io

import numpy as np
import pytest
from PIL import Image

from clients.worker.backends import BackendError, Task, Wish, numeric_seed
from clients.worker.backends.motifs import DRAWN_BY
from clients.worker.backends.palettes import _MOTIF_OF, _PALETTE_OF, MOTIFS, PALETTES, chosen, stops
from clients.worker.backends.procedural import ProceduralBackend, draw

PROMPT_FOR = {
    "silk": "quiet thoughts of nothing",
    "ridges": "mountains",
    "waves": "the sea",
    "cosmos": "a galaxy",
    "bloom": "one flower",
}


@pytest.fixture
def anyio_backend():
    return "asyncio"


def opened(body: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(body))
    picture.load()
    return picture


@pytest.mark.parametrize("prompt", PROMPT_FOR.values())
def test_the_same_task_gives_the_same_bytes_and_another_seed_others(prompt):
    wish = Wish(prompt=prompt, width=128, height=192)
    assert draw(wish, "1") == draw(wish, "1")
    assert draw(wish, "1") != draw(wish, "2")


@pytest.mark.parametrize(
    "size", [(64, 64), (512, 512), (64, 3072), (1024, 576), (65, 130), (1, 1)], ids=lambda s: f"{s[0]}x{s[1]}"
)
@pytest.mark.parametrize("prompt", PROMPT_FOR.values())
def test_the_size_is_exact_and_the_format_webp(prompt, size):
    picture = opened(draw(Wish(prompt=prompt, width=size[0], height=size[1]), "5"))
    assert picture.size == size
    assert picture.format == "WEBP"


@pytest.mark.parametrize("motif", DRAWN_BY)
def test_a_picture_is_not_one_flat_colour(motif):
    rng = np.random.default_rng(3)
    canvas = DRAWN_BY[motif](rng, stops("ocean"), 96, 64)
    assert canvas.shape == (64, 96, 3)
    assert np.isfinite(canvas).all()
    assert canvas.std() > 0.05


def test_words_choose_colours_and_motif():
    assert chosen("Sunset over the MOUNTAINS", b"\0\0") == ("dusk", "ridges")
    assert chosen("rose petals", b"\0\0") == ("rose", "bloom")
    assert chosen("", b"\1\1") == (list(PALETTES)[1], MOTIFS[1])


def test_every_word_leads_to_something_that_exists():
    assert set(_PALETTE_OF.values()) == set(PALETTES)
    assert set(_MOTIF_OF.values()) == set(MOTIFS) - {"silk"}
    assert set(DRAWN_BY) == set(MOTIFS)


@pytest.mark.parametrize(
    ("names", "factor"),
    [
        (["RealESRGAN_x4plus"], 4),
        (["RealESRGAN_x2plus"], 2),
        (["4x_AnimeSharp"], 4),
        (["2xModernSpanimationV1"], 2),
        (["NMKD_Siax"], 4),
        (["GFPGAN", "CodeFormers"], 1),
    ],
)
def test_upscalers_enlarge_and_other_post_processors_do_not(names, factor):
    picture = opened(draw(Wish(prompt="x", width=64, height=128, post_processing=tuple(names)), "1"))
    assert picture.size == (64 * factor, 128 * factor)


@pytest.mark.anyio
async def test_the_backend_reports_the_seed_it_was_given():
    task = Task(generation_id="g", model="m", seed="any text", wish=Wish(prompt="x", width=64, height=64))
    picture = await ProceduralBackend().generate(task)
    assert (picture.seed, picture.censored) == ("any text", False)
    assert picture.body == draw(task.wish, "any text")


def test_a_payload_may_lack_keys_hold_nulls_and_hold_more_than_is_known():
    wish = Wish.parse(
        {"prompt": "p", "width": 128, "negative_prompt": None, "of tomorrow": [1], "steps": "20"}
    )
    assert (wish.width, wish.height, wish.negative_prompt, wish.steps) == (128, 512, "", 20)


@pytest.mark.parametrize("payload", [{"width": "wide"}, {"width": 0}, {"post_processing": 3}])
def test_a_payload_that_makes_no_sense_is_a_fault_that_does_not_quote_the_prompt(payload):
    with pytest.raises(BackendError) as caught:
        Wish.parse({"prompt": "my secret", **payload})
    assert "secret" not in str(caught.value)


def test_any_seed_becomes_a_number():
    assert numeric_seed("123") == 123
    assert numeric_seed(str(2**40 + 5)) == 5
    assert 0 <= numeric_seed("a cat") < 2**32
    assert numeric_seed("-1") == numeric_seed("-1")
