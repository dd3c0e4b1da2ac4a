"""What may be done to a finished picture, by the names that workers know. Pure.

Image jobs ask for it of what was drawn, interrogations of a picture that their client has. Look next:
`app.jobs.image_params`, `app.jobs.interrogation_params`.
"""

from enum import StrEnum
from typing import Final


class PostProcessor(StrEnum):
    """What may be done to a finished picture."""

    GFPGAN = "GFPGAN"
    GFPGAN_V1_3 = "GFPGANv1.3"
    CODEFORMERS = "CodeFormers"
    RESTOREFORMER = "RestoreFormer"
    STRIP_BACKGROUND = "strip_background"
    REALESRGAN_X4PLUS = "RealESRGAN_x4plus"
    REALESRGAN_X2PLUS = "RealESRGAN_x2plus"
    REALESRGAN_X4PLUS_ANIME_6B = "RealESRGAN_x4plus_anime_6B"
    NMKD_SIAX = "NMKD_Siax"
    ANIMESHARP_X4 = "4x_AnimeSharp"
    NOMOS8KSC_X4 = "4xNomos8kSC"
    LSDIRPLUS_X4 = "4xLSDIRplus"
    NOMOSWEBPHOTO_REALPLKSR_X4 = "4xNomosWebPhoto_RealPLKSR"
    NOMOS2_REALPLKSR_DYSAMPLE_X4 = "4xNomos2_realplksr_dysample"
    NOMOS2_HQ_DAT2_X4 = "4xNomos2_hq_dat2"
    MODERNSPANIMATIONV1_X2 = "2xModernSpanimationV1"


_NAMES: Final = frozenset(PostProcessor)


def makes_picture(form: str) -> bool:
    """Whether what is asked of a picture is another picture: its form is a post-processor."""
    return form in _NAMES
