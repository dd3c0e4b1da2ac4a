"""Families of models: what of a model decides the price of a picture, and how a job asks for any model of a family.

Pure. A model's baseline is what it was trained from, as the model reference names it; a family is what baselines cost
alike. A job that names no model is offered to families by tokens: no client's model name begins with `*`, so a token
is never a model's name. Look next: `app.ledger.price_book` for what each family costs, `app.ledger.quote` for which
tokens a job gets, `app.workers.matching` for which tokens a worker's models stand for.
"""

from enum import StrEnum
from typing import Final


class Family(StrEnum):
    """Models that cost alike, cheapest first."""

    PLAIN = "plain"
    SDXL = "sdxl"
    CASCADE = "cascade"
    FLUX = "flux"
    QWEN = "qwen"


#: what tokens begin with, and what follows the family where only models that inpaint will do
_MARK: Final = "*"
_INPAINTING: Final = ":inpainting"

#: baselines as the model reference names them, blanks as underscores; every other one is plain
_FAMILIES: Final = {
    "stable_diffusion_xl": Family.SDXL,
    "stable_cascade": Family.CASCADE,
    "flux_1": Family.FLUX,
    "z_image_turbo": Family.FLUX,
    "qwen_image": Family.QWEN,
}
#: the side in pixels of the least square that models of these baselines draw well; 512 for every other one
_NATIVE_SIDES: Final = {"stable_diffusion_2": 768} | dict.fromkeys(_FAMILIES, 1024)
_LEAST_SIDE: Final = 512


def family_of(baseline: str) -> Family:
    """The family of the models with a baseline; what is not known is plain."""
    return _FAMILIES.get(_plainly(baseline), Family.PLAIN)


def native_side(baseline: str) -> int:
    """Pixels: models with this baseline draw badly what is smaller than a square of it."""
    return _NATIVE_SIDES.get(_plainly(baseline), _LEAST_SIDE)


def token(family: Family, *, inpainting: bool) -> str:
    """What stands for any model of a family in a job's offers; models that only inpaint have one of their own."""
    return f"{_MARK}{family}{_INPAINTING if inpainting else ''}"


def _plainly(baseline: str) -> str:
    return baseline.replace(" ", "_")
