"""ComfyUI's workflows: templates in its API format, filled in for one task. Nothing here speaks to anybody.

A template is found by its nodes' kinds and titles, so that an owner's own may be of any shape: texts go into the
CLIPTextEncode titled "Prompt" and "Negative prompt", the size into whatever is titled "Size", the seed, steps, cfg,
sampler and denoising into the KSampler, the pictures into the LoadImage titled "Source" and the LoadImageMask titled
"Mask". LoRAs are put between the checkpoint's loader and what uses it.
"""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from clients.worker.backends import BackendError, Lora, Task, Wish

#: A graph in ComfyUI's API format: a node's id -> class_type, inputs, _meta.title.
Graph = dict[str, dict[str, Any]]

SHIPPED = Path(__file__).parent / "workflows"
NAMES = ("txt2img", "img2img", "inpainting")
#: ComfyUI's names for our samplers.
SAMPLERS: Mapping[str, str] = {
    "k_lms": "lms",
    "k_heun": "heun",
    "k_euler": "euler",
    "k_euler_a": "euler_ancestral",
    "k_dpm_2": "dpm_2",
    "k_dpm_2_a": "dpm_2_ancestral",
    "k_dpm_fast": "dpm_fast",
    "k_dpm_adaptive": "dpm_adaptive",
    "k_dpmpp_2s_a": "dpmpp_2s_ancestral",
    "k_dpmpp_2m": "dpmpp_2m",
    "k_dpmpp_sde": "dpmpp_sde",
    # The multistep solver of that name is the second-order one.
    "dpmsolver": "dpmpp_2m",
    "ddim": "ddim",
    "lcm": "lcm",
}
#: How far a picture may stray from its source if the job does not say.
DENOISING = 0.75


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """What ComfyUI has for a task: names of its checkpoint, of its LoRAs and of the uploaded pictures."""

    checkpoint: str
    #: Our name of a LoRA -> the file's.
    loras: Mapping[str, str] = msgspec.field(default_factory=dict)
    source: str | None = None
    mask: str | None = None


def templates(folder: Path | None) -> dict[str, Graph]:
    """The workflows by name: those of the folder, and the shipped ones for what it lacks.

    Raises ValueError for a file that is no workflow in the API format.
    """
    found: dict[str, Graph] = {}
    for name in NAMES:
        own = None if folder is None else folder / f"{name}.json"
        path = own if own is not None and own.is_file() else SHIPPED / f"{name}.json"
        try:
            graph = msgspec.json.decode(path.read_bytes(), type=Graph)
        except (OSError, msgspec.DecodeError) as error:
            raise ValueError(f"{path} is no workflow in ComfyUI's API format: {error}") from error
        if not any(node.get("class_type") == "KSampler" for node in graph.values()):
            raise ValueError(f"{path} has no KSampler: export the workflow in the API format")
        found[name] = graph
    return found


def name_for(task: Task) -> str:
    """Which workflow draws the task. Raises BackendError for what none can."""
    wish = task.wish
    if (
        wish.control_type
        or wish.workflow
        or wish.transparent
        or wish.tis
        or wish.tiling
        or wish.post_processing
    ):
        raise BackendError("something that this backend does not do was asked for")
    if task.sources is None:
        return "txt2img"
    if task.sources.processing == "remix":
        raise BackendError("something that this backend does not do was asked for")
    return "img2img" if task.sources.mask is None else "inpainting"


def filled(template: Graph, wish: Wish, seed: int, given: Given) -> Graph:
    """The template with everything of the task in its place. Raises BackendError."""
    sampler = SAMPLERS.get(wish.sampler_name.lower())
    if sampler is None:
        raise BackendError("a sampler that ComfyUI does not have was asked for")
    graph = copy.deepcopy(template)
    drawing: dict[str, Any] = {
        "seed": seed,
        "steps": wish.steps,
        "cfg": wish.cfg_scale,
        "sampler_name": sampler,
        "scheduler": "karras" if wish.karras else "normal",
    }
    if given.source is not None:
        drawing["denoise"] = DENOISING if wish.denoising_strength is None else wish.denoising_strength
    by_kind: dict[str, dict[str, Any]] = {
        "CheckpointLoaderSimple": {"ckpt_name": given.checkpoint},
        "CLIPSetLastLayer": {"stop_at_clip_layer": -wish.clip_skip},
        "KSampler": drawing,
    }
    by_title: dict[str, dict[str, Any]] = {
        "Prompt": {"text": wish.prompt},
        "Negative prompt": {"text": wish.negative_prompt},
        "Size": {"width": wish.width, "height": wish.height},
        "Source": {"image": given.source},
        "Mask": {"image": given.mask},
    }
    for node in graph.values():
        node["inputs"].update(by_kind.get(node["class_type"], {}))
        node["inputs"].update(by_title.get(node.get("_meta", {}).get("title", ""), {}))
    for place, lora in enumerate(wish.loras):
        _insert(graph, lora, given, f"hoard_lora_{place}")
    return graph


def _insert(graph: Graph, lora: Lora, given: Given, node: str) -> None:
    """Put the LoRA between whatever gives model and clip now and what takes them."""
    if lora.name not in given.loras:
        raise BackendError("a LoRA that ComfyUI does not have was asked for")
    loader = next((each for each in graph if graph[each]["class_type"] == "CheckpointLoaderSimple"), None)
    if loader is None:
        raise BackendError("the workflow has no checkpoint to put a LoRA on")
    for each in graph.values():
        for key, value in each["inputs"].items():
            if value in ([loader, 0], [loader, 1]):
                each["inputs"][key] = [node, value[1]]
    graph[node] = {
        "class_type": "LoraLoader",
        "inputs": {
            "lora_name": given.loras[lora.name],
            "strength_model": lora.model,
            "strength_clip": lora.clip,
            "model": [loader, 0],
            "clip": [loader, 1],
        },
    }
