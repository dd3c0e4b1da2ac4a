"""The options of `hoard generate` that shape a job, and the `SubmitImageJobInput` they make.

What was not given is not sent: the server's defaults hold. Sources are not here, since they may have to be uploaded
first: see `sources.py`.
"""

from collections.abc import Callable, Mapping
from typing import Any

import click

SAMPLERS = (
    *("K_LMS", "K_HEUN", "K_EULER", "K_EULER_A", "K_DPM_2", "K_DPM_2_A", "K_DPM_FAST", "K_DPM_ADAPTIVE"),
    *("K_DPMPP_2S_A", "K_DPMPP_2M", "K_DPMPP_SDE", "DPMSOLVER", "DDIM", "LCM"),
)
POST_PROCESSORS = (
    *("GFPGAN", "GFPGAN_V1_3", "CODEFORMERS", "RESTOREFORMER", "STRIP_BACKGROUND"),
    *("REALESRGAN_X2PLUS", "REALESRGAN_X4PLUS", "REALESRGAN_X4PLUS_ANIME_6B", "NMKD_SIAX", "ANIMESHARP_X4"),
    *("LSDIRPLUS_X4", "MODERNSPANIMATIONV1_X2", "NOMOS2_HQ_DAT2_X4", "NOMOS2_REALPLKSR_DYSAMPLE_X4"),
    *("NOMOS8KSC_X4", "NOMOSWEBPHOTO_REALPLKSR_X4"),
)
CONTROL_TYPES = (
    *("CANNY", "HED", "DEPTH", "NORMAL", "OPENPOSE", "SEG", "SCRIBBLE", "FAKESCRIBBLES", "HOUGH"),
)
PROCESSINGS = ("IMG2IMG", "INPAINTING", "OUTPAINTING", "REMIX")

#: Options that go into the input itself, and those that go into its `params`: our name -> the API's.
_TOP = {
    "prompt": "prompt",
    "negative": "negativePrompt",
    "models": "models",
    "share": "share",
    "nsfw": "nsfw",
    "censor_nsfw": "censorNsfw",
    "max_kudos": "maxKudos",
    "processing": "sourceProcessing",
    "workers": "workers",
    "deny": "denyWorkers",
    "trusted_workers": "trustedWorkers",
    "slow_workers": "slowWorkers",
    "extra_slow_workers": "extraSlowWorkers",
    "downgrade": "allowDowngrade",
}
_PARAMS = {
    "width": "width",
    "height": "height",
    "steps": "steps",
    "cfg": "cfgScale",
    "sampler": "sampler",
    "seed": "seed",
    "n": "n",
    "karras": "karras",
    "tiling": "tiling",
    "hires_fix": "hiresFix",
    "clip_skip": "clipSkip",
    "post_processing": "postProcessing",
    "strength": "denoisingStrength",
    "control": "controlType",
    "image_is_control": "imageIsControl",
    "loras": "loras",
}
#: Options whose values are names of an enum.
_NAMES = frozenset({"sampler", "post_processing", "control", "processing"})

_OPTIONS: tuple[Callable[..., Any], ...] = (
    click.option("--negative", help="What the pictures should not show."),
    click.option(
        "--model", "models", multiple=True, help="A model that will do; may be repeated. None: any."
    ),
    click.option("--width", type=int, help="Pixels, a multiple of 64."),
    click.option("--height", type=int, help="Pixels, a multiple of 64."),
    click.option("--steps", type=int, help="Sampling steps."),
    click.option("--cfg", type=float, help="How closely to follow the prompt."),
    click.option("--sampler", type=click.Choice(SAMPLERS, case_sensitive=False), help="How to sample."),
    click.option("--karras/--no-karras", default=None, help="Whether to use the Karras noise schedule."),
    click.option("--tiling", is_flag=True, default=None, help="Pictures whose opposite edges fit."),
    click.option("--hires-fix", is_flag=True, default=None, help="Draw small first, then larger."),
    click.option("--clip-skip", type=int, help="Leave out so many of CLIP's last layers, plus one."),
    click.option(
        "--post-processing",
        multiple=True,
        type=click.Choice(POST_PROCESSORS, case_sensitive=False),
        help="What to do to the finished picture; may be repeated.",
    ),
    click.option("--seed", help="Any text; the same seed repeats a picture."),
    click.option("--n", type=int, help="How many pictures."),
    click.option("--lora", "loras", multiple=True, help="NAME or NAME=STRENGTH; may be repeated."),
    click.option(
        "--processing",
        type=click.Choice(PROCESSINGS, case_sensitive=False),
        help="What to do with the source; with a mask by default INPAINTING.",
    ),
    click.option("--strength", type=float, help="How far to stray from the source, 0.01 to 1."),
    click.option(
        "--control", type=click.Choice(CONTROL_TYPES, case_sensitive=False), help="What guides the picture."
    ),
    click.option(
        "--image-is-control", is_flag=True, default=None, help="The source is a control map already."
    ),
    click.option(
        "--worker", "workers", multiple=True, help="Only this worker, by id or name; may be repeated."
    ),
    click.option("--deny", is_flag=True, default=None, help="Any worker but those named."),
    click.option("--trusted-workers", is_flag=True, default=None, help="Only workers of trusted owners."),
    click.option("--slow-workers/--no-slow-workers", default=None, help="Whether slow workers will do."),
    click.option("--extra-slow-workers", is_flag=True, default=None, help="Very slow workers will do, too."),
    click.option("--downgrade", is_flag=True, default=None, help="Rather a smaller picture than none."),
    click.option("--share/--no-share", default=None, help="Whether the pictures may be published."),
    click.option("--nsfw", is_flag=True, default=None, help="Mark the job as not safe for work."),
    click.option("--censor-nsfw/--no-censor-nsfw", default=None, help="Whether to blank out what is unsafe."),
    click.option("--max-kudos", help="Refuse to pay more than this."),
)


def shaping(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that shape a job."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def wish_of(**options: Any) -> dict[str, Any]:
    """The `SubmitImageJobInput` of what was given."""
    wish = _named(options, _TOP)
    if params := _named(options, _PARAMS):
        wish["params"] = params
    return wish


def _named(options: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    given = {name: options.get(name) for name in names}
    return {names[name]: _sent(name, value) for name, value in given.items() if value not in (None, ())}


def _sent(name: str, value: Any) -> Any:
    """The value as the API wants it."""
    if name == "loras":
        return [_lora(each) for each in value]
    if name in _NAMES:
        return value.upper() if isinstance(value, str) else [each.upper() for each in value]
    return list(value) if isinstance(value, tuple) else value


def _lora(text: str) -> dict[str, Any]:
    """NAME or NAME=STRENGTH, where the strength is for the model and the text encoder alike."""
    name, found, strength = text.rpartition("=")
    if not found:
        return {"name": text}
    try:
        return {"name": name, "model": float(strength), "clip": float(strength)}
    except ValueError:
        return {"name": text}
