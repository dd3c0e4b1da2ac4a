"""Asks KoboldCpp (or what speaks its API) to write.

A wish's names are KoboldCpp's own, so they are passed on as they are. A text that nobody waits for any more is
aborted there, by the key that each request carries, so that the next need not wait for it.
"""

import asyncio
import contextlib

import msgspec

from clients.worker.backends import BackendError, numeric_seed
from clients.worker.writers import LONGEST, WIDEST, TextTask, TextWish
from clients.worker.writers.asking import TextServer, first

#: What `formatting.py` does here, and what is not for a server.
_OURS = frozenset({"singleline", "frmtrmblln", "frmtrmspch", "frmtadsnsp", "frmttriminc"})
ABORT_SECONDS = 5.0


class KoboldCppWriter:
    """The writer that has KoboldCpp write."""

    confession = "texts are written by the KoboldCpp at the given address"
    longest = LONGEST
    widest = WIDEST

    def __init__(self, url: str) -> None:
        """`url` is KoboldCpp's base address. Raises ValueError if it is no http(s) address."""
        self._server = TextServer(url)
        self.models: tuple[str, ...] = ("koboldcpp",)

    async def write(self, task: TextTask) -> str:
        """Have it written."""
        key = f"HOARD{task.generation_id}"
        try:
            answer = await self._server.ask("POST", "/api/v1/generate", _request(task.wish, task.seed, key))
        except asyncio.CancelledError:
            await self._abort(key)
            raise
        text = first(answer, "results").get("text")
        if not isinstance(text, str):
            raise BackendError("the text server answered without a text")
        return text

    async def prepare(self) -> None:
        """Learn which model is loaded, and its context in tokens. Raises BackendError."""
        answer = await self._server.ask("GET", "/api/v1/model")
        name = answer.get("result") if isinstance(answer, dict) else None
        if isinstance(name, str) and name:
            self.models = (name,)
        answer = await self._server.ask("GET", "/api/extra/true_max_context_length")
        widest = answer.get("value") if isinstance(answer, dict) else None
        if isinstance(widest, int) and widest > 0:
            self.widest = widest

    async def close(self) -> None:
        """Close the connections."""
        await self._server.close()

    async def _abort(self, key: str) -> None:
        with contextlib.suppress(BackendError, TimeoutError):
            async with asyncio.timeout(ABORT_SECONDS):
                await self._server.ask("POST", "/api/extra/abort", {"genkey": key})


def _request(wish: TextWish, seed: str, key: str) -> dict[str, object]:
    """The body of `/api/v1/generate`: what was asked for, and no more."""
    asked = msgspec.structs.asdict(wish)
    usual = msgspec.structs.asdict(TextWish())
    always = {"prompt", "max_length", "max_context_length"}
    request = {
        name: value
        for name, value in asked.items()
        if name not in _OURS and (name in always or value != usual[name])
    }
    return request | {"sampler_seed": numeric_seed(seed), "genkey": key, "quiet": True}
