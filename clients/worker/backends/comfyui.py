"""Has ComfyUI draw, by its HTTP interface: queue a workflow, look at its history until it ended, fetch the picture.

A model that ComfyUI has a checkpoint file for by its name (without the ending) is drawn with that one, any other with
the checkpoint of the settings, or its first. It has no censor. Anything it cannot do or does not answer is a
BackendError. The workflows are in `workflows/`, filled in by `comfyui_workflows.py`.
"""

import asyncio
import uuid
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from clients.worker.backends import Abilities, BackendError, Picture, Task, numeric_seed
from clients.worker.backends.comfyui_workflows import Given, Graph, filled, name_for, templates
from clients.worker.backends.images import webp

CONNECT_SECONDS = 10
REQUEST_SECONDS = 60
DRAWING_SECONDS = 1800
#: Between two looks at the history.
LOOK_SECONDS = 0.5


class ComfyUIBackend:
    """The backend that has a ComfyUI draw."""

    confession = "pictures are drawn by the ComfyUI at the given address"
    abilities = Abilities(
        img2img=True,
        painting=True,
        lora=True,
        features=frozenset({"CLIP_SKIP", "LCM"}),
    )

    def __init__(
        self,
        url: str,
        *,
        workflows: Path | None = None,
        checkpoint: str = "",
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        """`workflows` is a folder of the owner's own. Raises ValueError for a wrong address or workflow."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ValueError(f"not an http(s) address: {url}")
        self._base = url.rstrip("/")
        self._templates = templates(workflows)
        self._checkpoint = checkpoint
        self._look_seconds = look_seconds
        self._client = str(uuid.uuid4())
        self._session: aiohttp.ClientSession | None = None

    async def generate(self, task: Task) -> Picture:
        """Have it drawn; what is cancelled meanwhile is taken out of ComfyUI's queue."""
        seed = numeric_seed(task.seed)
        template = self._templates[name_for(task)]
        graph = filled(template, task.wish, seed, await self._given(task))
        prompt = await self._queued(graph)
        try:
            async with asyncio.timeout(DRAWING_SECONDS):
                image = await self._ended(prompt)
        except TimeoutError as error:
            await self._drop(prompt)
            raise BackendError("ComfyUI took too long") from error
        except asyncio.CancelledError:
            await asyncio.shield(self._drop(prompt))
            raise
        where = {key: str(image.get(key, "")) for key in ("filename", "subfolder", "type")}
        body = await self._ask("GET", "/view", params=where, raw=True)
        return Picture(body=await asyncio.to_thread(webp, body), seed=str(seed))

    async def close(self) -> None:
        """Close the connections to ComfyUI."""
        if self._session is not None:
            await self._session.close()
        self._session = None

    async def _given(self, task: Task) -> Given:
        """Everything the task needs, put in its place at ComfyUI."""
        known = await self._choices("CheckpointLoaderSimple", "ckpt_name")
        by_name = {PurePosixPath(file.replace("\\", "/")).stem: file for file in reversed(known)}
        checkpoint = by_name.get(task.model) or self._checkpoint or (known[0] if known else "")
        if not checkpoint:
            raise BackendError("ComfyUI has no checkpoint")
        loras: dict[str, str] = {}
        if task.wish.loras:
            files = await self._choices("LoraLoader", "lora_name")
            loras = {PurePosixPath(file.replace("\\", "/")).stem: file for file in reversed(files)}
        source = mask = None
        if task.sources is not None:
            source = await self._upload(f"hoard-{task.generation_id}.png", task.sources.image)
            if task.sources.mask is not None:
                mask = await self._upload(f"hoard-{task.generation_id}-mask.png", task.sources.mask)
        return Given(checkpoint=checkpoint, loras=loras, source=source, mask=mask)

    async def _choices(self, node: str, field: str) -> tuple[str, ...]:
        """The files that a node can be given."""
        answer = await self._ask("GET", f"/object_info/{node}")
        try:
            described = answer[node]["input"]["required"][field]
            # Newer nodes are described as ["COMBO", {"options": [...]}], older ones as [[...]].
            choices = described[1]["options"] if described[0] == "COMBO" else described[0]
        except (KeyError, IndexError, TypeError) as error:
            raise BackendError(f"ComfyUI does not know {node}") from error
        return tuple(str(each) for each in choices) if isinstance(choices, list) else ()

    async def _upload(self, name: str, body: bytes) -> str:
        """Bring a picture; the name by which a workflow loads it."""
        form = aiohttp.FormData()
        form.add_field("image", body, filename=name, content_type="image/png")
        form.add_field("type", "input")
        form.add_field("overwrite", "true")
        answer = await self._ask("POST", "/upload/image", data=form)
        stored = answer.get("name") if isinstance(answer, dict) else None
        if not isinstance(stored, str):
            raise BackendError("ComfyUI did not take a source")
        folder = answer.get("subfolder") or ""
        return f"{folder}/{stored}" if folder else stored

    async def _queued(self, graph: Graph) -> str:
        """The id under which the workflow is queued."""
        request = {"prompt": graph, "client_id": self._client}
        answer = await self._ask("POST", "/prompt", json=request)
        prompt = answer.get("prompt_id") if isinstance(answer, dict) else None
        if not isinstance(prompt, str):
            raise BackendError("ComfyUI did not take the workflow")
        return prompt

    async def _ended(self, prompt: str) -> Mapping[str, Any]:
        """Where the picture is, once the workflow has ended. Raises BackendError if it failed."""
        while True:
            answer = await self._ask("GET", f"/history/{prompt}")
            entry = answer.get(prompt) if isinstance(answer, dict) else None
            if isinstance(entry, dict):
                return _first_image(entry)
            await asyncio.sleep(self._look_seconds)

    async def _drop(self, prompt: str) -> None:
        """Take it out of the queue, or stop it if it is being drawn. Other people's work there goes on."""
        try:
            await self._ask("POST", "/queue", json={"delete": [prompt]}, raw=True)
            queue = await self._ask("GET", "/queue")
            running = queue.get("queue_running", []) if isinstance(queue, dict) else []
            if any(prompt in entry for entry in running if isinstance(entry, list)):
                await self._ask("POST", "/interrupt", json={"prompt_id": prompt}, raw=True)
        except BackendError:
            return  # it is drawn for nobody, then

    async def _ask(self, method: str, path: str, *, raw: bool = False, **what: Any) -> Any:
        """The JSON answer, or its bytes if `raw`. Raises BackendError."""
        if self._session is None:
            limit = aiohttp.ClientTimeout(total=REQUEST_SECONDS, sock_connect=CONNECT_SECONDS)
            self._session = aiohttp.ClientSession(timeout=limit)
        try:
            async with self._session.request(method, self._base + path, **what) as answer:
                if answer.status >= 400:
                    raise BackendError(f"ComfyUI answered {answer.status}")
                return await answer.read() if raw else await answer.json(content_type=None)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise BackendError(f"ComfyUI did not answer ({type(error).__name__})") from error


def _first_image(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """The picture in an entry of the history: saved ones go before previews."""
    status = entry.get("status") or {}
    if status.get("status_str") == "error":
        raise BackendError("ComfyUI could not draw it")
    outputs = entry.get("outputs") or {}
    images = [image for output in outputs.values() for image in output.get("images", ())]
    images.sort(key=lambda image: image.get("type") != "output")
    if not images:
        raise BackendError("ComfyUI answered without an image")
    first: Mapping[str, Any] = images[0]
    return first
