"""Which craft and backend a worker's settings ask for.

Each backend brings its own heavy libraries: only the chosen one is loaded. Look next: `crafts/`, `settings.py`.
"""

import os
from pathlib import Path
from typing import Any

from clients.worker.backends import Backend
from clients.worker.crafts import Craft
from clients.worker.settings import Settings
from clients.worker.tellers import Teller
from clients.worker.writers import Writer


def craft_of(settings: Settings) -> Craft[Any]:
    """What does the work. Raises ValueError for an address, a file or a package that is none."""
    if settings.kind == "text":
        from clients.worker.crafts.texts import Texts

        return Texts(_writer(settings))
    if settings.kind == "interrogation":
        from clients.worker.crafts.interrogations import Interrogations

        return Interrogations(_teller(settings))
    from clients.worker.crafts.images import Images

    return Images(_backend(settings))


def _backend(settings: Settings) -> Backend:
    if settings.backend == "a1111":
        from clients.worker.backends.a1111 import WebUIBackend

        return WebUIBackend(settings.a1111_url)
    if settings.backend == "comfyui":
        from clients.worker.backends.comfyui import ComfyUIBackend

        folder = Path(settings.comfyui_workflows).expanduser() if settings.comfyui_workflows else None
        return ComfyUIBackend(settings.comfyui_url, workflows=folder, checkpoint=settings.comfyui_checkpoint)
    from clients.worker.backends.procedural import ProceduralBackend

    return ProceduralBackend()


def _writer(settings: Settings) -> Writer:
    if settings.backend == "koboldcpp":
        from clients.worker.writers.koboldcpp import KoboldCppWriter

        return KoboldCppWriter(settings.koboldcpp_url)
    if settings.backend == "openai":
        from clients.worker.writers.openai import OpenAIWriter

        return OpenAIWriter(
            settings.openai_url,
            key=_content(settings.openai_key_file),
            model=settings.openai_model,
            samplers=settings.openai_samplers,
        )
    if settings.backend == "local":
        from clients.worker.writers.local import LocalWriter

        return LocalWriter(
            settings.gguf,
            context=settings.max_context_length,
            texts=settings.threads,
            threads=_processors(settings),
        )
    from clients.worker.writers.procedural import ProceduralWriter

    return ProceduralWriter()


def _teller(settings: Settings) -> Teller:
    if settings.backend == "a1111":
        from clients.worker.tellers.webui import WebUITeller

        return WebUITeller(settings.a1111_url)
    if settings.backend == "local":
        from clients.worker.tellers.local import LocalTeller

        return LocalTeller(threads=_processors(settings))
    from clients.worker.tellers.statistics import StatisticsTeller

    return StatisticsTeller()


def _processors(settings: Settings) -> int:
    """Half of them unless the settings say.

    llama.cpp's threads wait for each other: one that has to share its processor slows all of them down many times over.
    """
    return settings.cpu_threads or max(1, (os.cpu_count() or 1) // 2)


def _content(path: str) -> str:
    """The key in a file; none if no file is named. Raises ValueError if it cannot be read."""
    if not path:
        return ""
    try:
        return Path(path).expanduser().read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ValueError(f"openai_key_file cannot be read: {error.strerror}") from error
