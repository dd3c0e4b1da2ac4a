"""Seeds, lease length and the tables of samplers and post-processors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.jobs.image_params import (
    UPSCALERS,
    ImageParams,
    PostProcessor,
    Sampler,
    accurate_steps,
    lease_seconds,
    resolve_seeds,
    upscale_factor,
)
from app.ledger.work import FIXED_STEPS, SECOND_ORDER


@pytest.mark.parametrize(
    ("seed", "first"),
    [
        ("0", 0),
        ("42", 42),
        ("0042", 42),
        (str(2**32 - 1), 2**32 - 1),
        (str(2**32), 1),
        (str(5 * 2**64 + 7), 5),
        ("abc", 0x636261),
        ("é", 0xA9C3),
        ("abcdefgh", 0x68676665),
        ("-1", 0x312D),
        ("٣", 0xA3D9),
    ],
)
def test_a_seed_is_its_number_or_the_number_its_bytes_make(seed: str, first: int):
    assert resolve_seeds(seed, 1, None, random=99) == (first,)


@pytest.mark.parametrize("seed", [None, ""])
def test_without_a_seed_the_given_random_number_counts(seed: str | None):
    assert resolve_seeds(seed, 2, None, random=99) == (99, 100)


def test_seeds_grow_by_the_variation_and_wrap():
    assert resolve_seeds("7", 3, 1000, random=0) == (7, 1007, 2007)
    assert resolve_seeds(str(2**32 - 1), 3, None, random=0) == (2**32 - 1, 0, 1)


@given(
    seed=st.none() | st.text(max_size=100),
    n=st.integers(1, 20),
    variation=st.none() | st.integers(1, 1000),
    random=st.integers(0, 2**70),
)
def test_every_picture_of_a_job_has_a_seed_of_its_own(
    seed: str | None, n: int, variation: int | None, random: int
):
    seeds = resolve_seeds(seed, n, variation, random)
    assert len(set(seeds)) == n
    assert all(0 <= number < 2**32 for number in seeds)
    assert seeds == resolve_seeds(seed, n, variation, random)


@pytest.mark.parametrize(
    ("params", "seconds"),
    [
        (ImageParams(), 150),
        (ImageParams(steps=60), 150),
        (ImageParams(steps=61), 152),
        (ImageParams(width=1024, height=1024, steps=50), 430),
        (ImageParams(width=64, height=64, steps=500, sampler=Sampler.K_HEUN), 150),
        (ImageParams(width=576, height=576, steps=50), 157),
    ],
)
def test_a_lease_is_as_long_as_the_work(params: ImageParams, seconds: int):
    assert lease_seconds(params, 1) == seconds
    assert lease_seconds(params, 4) == 4 * seconds


def test_accurate_steps_follow_the_sampler():
    assert accurate_steps(ImageParams(steps=30)) == 30
    assert accurate_steps(ImageParams(steps=30, sampler=Sampler.K_DPMPP_SDE)) == 60


def test_the_tables_of_the_ledger_name_only_samplers_that_exist():
    assert {*SECOND_ORDER, *FIXED_STEPS} <= set(Sampler)


def test_every_enlarging_post_processor_has_its_factor():
    assert {name for name in PostProcessor if "4x" in name.lower() or "x4" in name} <= {
        name for name, factor in UPSCALERS.items() if factor == 4
    }
    assert len(UPSCALERS) == 11
    assert upscale_factor(()) == 1
    assert upscale_factor((PostProcessor.GFPGAN, PostProcessor.REALESRGAN_X2PLUS)) == 2


def test_the_names_that_workers_know():
    assert [name.value for name in Sampler] == [
        "k_lms",
        "k_heun",
        "k_euler",
        "k_euler_a",
        "k_dpm_2",
        "k_dpm_2_a",
        "k_dpm_fast",
        "k_dpm_adaptive",
        "k_dpmpp_2s_a",
        "k_dpmpp_2m",
        "k_dpmpp_sde",
        "dpmsolver",
        "DDIM",
        "lcm",
    ]
    assert sorted(PostProcessor) == sorted(
        [
            "GFPGAN",
            "CodeFormers",
            "strip_background",
            "GFPGANv1.3",
            "RestoreFormer",
            "RealESRGAN_x4plus",
            "RealESRGAN_x2plus",
            "RealESRGAN_x4plus_anime_6B",
            "NMKD_Siax",
            "4x_AnimeSharp",
            "4xNomos8kSC",
            "4xLSDIRplus",
            "4xNomosWebPhoto_RealPLKSR",
            "4xNomos2_realplksr_dysample",
            "4xNomos2_hq_dat2",
            "2xModernSpanimationV1",
        ]
    )
