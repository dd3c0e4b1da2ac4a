"""What workers are given of a job besides its prompts, seeds and sources, by the names that they know. Pure.

Look next: `app.workers.handlers`, which adds the prompts.
"""

from __future__ import annotations

from typing import Any

import msgspec

from app.jobs.image_params import ImageParams


def payload_of(params: ImageParams, *, use_nsfw_censor: bool) -> str:
    """The payload as a JSON text; what was not asked for is left out."""
    payload: dict[str, Any] = {
        "width": params.width,
        "height": params.height,
        "steps": params.steps,
        "cfg_scale": params.cfg_scale,
        "sampler_name": params.sampler.value,
        "karras": params.karras,
        "tiling": params.tiling,
        "hires_fix": params.hires_fix,
        "hires_fix_denoising_strength": params.hires_fix_denoising_strength,
        "clip_skip": params.clip_skip,
        "post_processing": [p.value for p in params.post_processing],
        "facefixer_strength": params.facefixer_strength,
        "use_nsfw_censor": use_nsfw_censor,
        **_of_sources(params),
        **_of_words(params),
    }
    return msgspec.json.encode({name: value for name, value in payload.items() if value is not None}).decode()


def resized(payload: str, params: ImageParams) -> str:
    """The payload of a job that was made smaller."""
    changed = msgspec.json.decode(payload)
    changed.update(width=params.width, height=params.height, steps=params.steps)
    return msgspec.json.encode(changed).decode()


def _of_sources(params: ImageParams) -> dict[str, Any]:
    if params.source_processing is None:
        return {}
    controlled = params.control_type is not None
    return {
        "source_processing": params.source_processing.value,
        "denoising_strength": params.denoising_strength,
        "control_type": params.control_type,
        "image_is_control": params.image_is_control if controlled else None,
        "return_control_map": params.return_control_map if controlled else None,
    }


def _of_words(params: ImageParams) -> dict[str, Any]:
    return {
        "loras": params.loras or None,
        "tis": params.tis or None,
        "workflow": params.workflow,
        "transparent": params.transparent or None,
        "extra_texts": params.extra_texts or None,
    }
