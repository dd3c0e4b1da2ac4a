"""What is asked of a Stable Diffusion WebUI, in its own words: the bodies of `/sdapi/v1` requests.

`a1111.py` sends them. Nothing here speaks to anybody.
"""

import base64
from collections.abc import Mapping
from typing import Any

from clients.worker.backends import BackendError, Sources, Task, Wish

#: The WebUI's names for our samplers.
SAMPLERS: Mapping[str, str] = {
    "k_lms": "LMS",
    "k_heun": "Heun",
    "k_euler": "Euler",
    "k_euler_a": "Euler a",
    "k_dpm_2": "DPM2",
    "k_dpm_2_a": "DPM2 a",
    "k_dpm_fast": "DPM fast",
    "k_dpm_adaptive": "DPM adaptive",
    "k_dpmpp_2s_a": "DPM++ 2S a",
    "k_dpmpp_2m": "DPM++ 2M",
    "k_dpmpp_sde": "DPM++ SDE",
    # The multistep solver of that name is the second-order one.
    "dpmsolver": "DPM++ 2M",
    "ddim": "DDIM",
    "lcm": "LCM",
}
#: Samplers that older WebUIs, which have no schedulers, also offer as "... Karras".
KARRAS_BY_NAME = frozenset({"LMS", "DPM2", "DPM2 a", "DPM++ 2S a", "DPM++ 2M", "DPM++ SDE"})
#: Our post-processors in the words of `/sdapi/v1/extra-single-image`.
POST_PROCESSORS: Mapping[str, Mapping[str, Any]] = {
    "GFPGAN": {"gfpgan_visibility": 1},
    "GFPGANv1.3": {"gfpgan_visibility": 1},
    "CodeFormers": {"codeformer_visibility": 1, "codeformer_weight": 0.5},
    "RealESRGAN_x4plus": {"upscaler_1": "R-ESRGAN 4x+", "upscaling_resize": 4},
    "RealESRGAN_x2plus": {"upscaler_1": "R-ESRGAN 4x+", "upscaling_resize": 2},
    "RealESRGAN_x4plus_anime_6B": {"upscaler_1": "R-ESRGAN 4x+ Anime6B", "upscaling_resize": 4},
}
#: The side in pixels that the first pass of a hires fix keeps to.
FIRST_PASS_SIDE = 512
#: How far a picture may stray from its source if the job does not say, as the WebUI has it.
DENOISING = 0.75
MASK_BLUR = 4
#: The WebUI's "original": painting begins with what is there.
FILL_ORIGINAL = 1


def drawing(task: Task, seed: int, *, schedulers: bool, loras: frozenset[str]) -> tuple[str, dict[str, Any]]:
    """The path and the body that have a picture drawn. Raises BackendError for what the WebUI cannot do."""
    wish = task.wish
    if wish.control_type or wish.workflow or wish.transparent or wish.tis:
        raise BackendError("something that this backend does not do was asked for")
    request = plain(wish, seed, schedulers=schedulers)
    for lora in wish.loras:
        if lora.name not in loras:
            raise BackendError("a LoRA that the WebUI does not have was asked for")
        request["prompt"] += f" <lora:{lora.name}:{lora.model}>"
    if task.sources is None:
        if wish.hires_fix and min(wish.width, wish.height) > FIRST_PASS_SIDE:
            request |= _hires(wish)
        return "/sdapi/v1/txt2img", request
    return "/sdapi/v1/img2img", request | _from_sources(wish, task.sources)


def _from_sources(wish: Wish, sources: Sources) -> dict[str, Any]:
    """What an img2img request has besides."""
    if sources.processing == "remix":
        raise BackendError("something that this backend does not do was asked for")
    strength = DENOISING if wish.denoising_strength is None else wish.denoising_strength
    more: dict[str, Any] = {
        "init_images": [base64.b64encode(sources.image).decode()],
        "denoising_strength": strength,
        "resize_mode": 0,
        "include_init_images": False,
    }
    if sources.mask is not None:
        more |= {
            "mask": base64.b64encode(sources.mask).decode(),
            "mask_blur": MASK_BLUR,
            "inpainting_fill": FILL_ORIGINAL,
            "inpainting_mask_invert": 0,  # white is painted
            "inpaint_full_res": False,
        }
    return more


def post_processing(image: str, name: str, facefixer_strength: float | None) -> dict[str, Any]:
    """The body of an `extra-single-image` request. Raises BackendError for an unknown post-processor."""
    settings = POST_PROCESSORS.get(name)
    if settings is None:
        raise BackendError("a post-processor that the WebUI does not have was asked for")
    request = {"image": image, "resize_mode": 0, "upscaling_resize": 1, **settings}
    if facefixer_strength is not None:
        for visibility in ("gfpgan_visibility", "codeformer_visibility"):
            if visibility in request:
                request[visibility] = facefixer_strength
    return request


def plain(wish: Wish, seed: int, *, schedulers: bool) -> dict[str, Any]:
    """What every request to draw has. Raises BackendError for a sampler that is not known."""
    sampler = SAMPLERS.get(wish.sampler_name.lower())
    if sampler is None:
        raise BackendError("a sampler that the WebUI does not have was asked for")
    request: dict[str, Any] = {
        "prompt": wish.prompt,
        "negative_prompt": wish.negative_prompt,
        "seed": seed,
        "steps": wish.steps,
        "cfg_scale": wish.cfg_scale,
        "width": wish.width,
        "height": wish.height,
        "sampler_name": sampler,
        "tiling": wish.tiling,
        "batch_size": 1,
        "n_iter": 1,
        "send_images": True,
        "save_images": False,
        "override_settings": {"CLIP_stop_at_last_layers": wish.clip_skip},
        "override_settings_restore_afterwards": True,
    }
    if schedulers:
        request["scheduler"] = "Karras" if wish.karras else "Automatic"
    elif wish.karras and sampler in KARRAS_BY_NAME:
        request["sampler_name"] = f"{sampler} Karras"
    return request


def _hires(wish: Wish) -> dict[str, Any]:
    """A small first pass, then up to the asked size."""
    shrink = FIRST_PASS_SIDE / min(wish.width, wish.height)
    return {
        "enable_hr": True,
        "hr_upscaler": "Latent",
        "hr_resize_x": wish.width,
        "hr_resize_y": wish.height,
        "denoising_strength": wish.hires_fix_denoising_strength or 0.65,
        "width": max(64, round(wish.width * shrink / 8) * 8),
        "height": max(64, round(wish.height * shrink / 8) * 8),
    }
