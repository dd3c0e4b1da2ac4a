"""Which models cost alike, and the tokens that stand for any model of a family."""

import pytest

from app.ledger.families import Family, family_of, native_side, token


@pytest.mark.parametrize(
    ("baseline", "family", "side"),
    [
        ("stable diffusion 1", Family.PLAIN, 512),
        ("stable diffusion 2", Family.PLAIN, 768),
        ("stable_diffusion_2", Family.PLAIN, 768),
        ("stable diffusion 2 512", Family.PLAIN, 512),
        ("stable_diffusion_xl", Family.SDXL, 1024),
        ("stable_cascade", Family.CASCADE, 1024),
        ("flux_1", Family.FLUX, 1024),
        ("z_image_turbo", Family.FLUX, 1024),
        ("qwen_image", Family.QWEN, 1024),
        ("a model of the year 2030", Family.PLAIN, 512),
        ("", Family.PLAIN, 512),
    ],
)
def test_a_baseline_decides_family_and_least_side(baseline: str, family: Family, side: int):
    assert (family_of(baseline), native_side(baseline)) == (family, side)


def test_tokens_are_as_the_log_has_them():
    # They are in recorded offers: they never change.
    assert [token(family, inpainting=False) for family in Family] == [
        "*plain",
        "*sdxl",
        "*cascade",
        "*flux",
        "*qwen",
    ]
    assert token(Family.PLAIN, inpainting=True) == "*plain:inpainting"
    assert token(Family.QWEN, inpainting=True) == "*qwen:inpainting"
