"""Asks a server that speaks OpenAI's `/v1/completions` to write: llama.cpp's, vLLM, TabbyAPI, text-generation-webui.

OpenAI's own API knows temperature, top_p, seed and up to four stop sequences; the others know more samplers, which are
sent unless the settings say otherwise. A prompt too long for the context is cut at its beginning, by characters.
"""

from typing import Any

from clients.worker.backends import BackendError, numeric_seed
from clients.worker.writers import LONGEST, TOKEN, WIDEST, TextTask, TextWish
from clients.worker.writers.asking import TextServer, first

#: Stop sequences that OpenAI's API takes; the rest is cut off here.
MOST_STOPS = 4
#: Samplers that OpenAI's own server lacks: the names that the others understand -> ours.
_MORE = {
    "top_k": "top_k",
    "min_p": "min_p",
    "typical_p": "typical",
    "repetition_penalty": "rep_pen",
    "repeat_penalty": "rep_pen",  # llama.cpp's name for it
    "repeat_last_n": "rep_pen_range",
    "dynatemp_range": "dynatemp_range",
    "dynatemp_exponent": "dynatemp_exponent",
}


class OpenAIWriter:
    """The writer that has an OpenAI-compatible server write."""

    confession = "texts are written by the OpenAI-compatible server at the given address"
    longest = LONGEST
    widest = WIDEST

    def __init__(self, url: str, *, key: str = "", model: str = "", samplers: bool = True) -> None:
        """`url` is the address before `/v1`; `model` the server's name of what to write with, by default its first.

        Raises ValueError if it is no http(s) address.
        """
        self._server = TextServer(url.rstrip("/").removesuffix("/v1"), key)
        self._model = model
        self._samplers = samplers
        self.models: tuple[str, ...] = (model or "openai",)

    async def write(self, task: TextTask) -> str:
        """Have it written."""
        request = self._request(task, await self._prompt(task.wish))
        answer = await self._server.ask("POST", "/v1/completions", request)
        text = first(answer, "choices").get("text")
        if not isinstance(text, str):
            raise BackendError("the text server answered without a text")
        return text

    async def prepare(self) -> None:
        """Learn which model there is, if the settings name none. Raises BackendError."""
        if not self._model:
            name = first(await self._server.ask("GET", "/v1/models"), "data").get("id")
            if not isinstance(name, str):
                raise BackendError("the text server answered without a model")
            self._model = name
            self.models = (name,)

    async def close(self) -> None:
        """Close the connections."""
        await self._server.close()

    async def _prompt(self, wish: TextWish) -> str:
        """The end of the prompt that the context surely holds beside the text to be written."""
        return wish.prompt[-(room_of(wish) * TOKEN) :]

    def _request(self, task: TextTask, prompt: str) -> dict[str, Any]:
        wish = task.wish
        request: dict[str, Any] = {
            "model": self._model,
            "prompt": prompt,
            "max_tokens": wish.max_length,
            "seed": numeric_seed(task.seed) % 2**31,
            "temperature": wish.temperature,
            "top_p": wish.top_p,
            "stop": list(wish.stop_sequence[:MOST_STOPS]) or None,
        }
        if self._samplers:
            request |= {theirs: getattr(wish, ours) for theirs, ours in _MORE.items()}
        return {name: value for name, value in request.items() if value is not None}


def room_of(wish: TextWish) -> int:
    """The tokens that the context has for the prompt."""
    return max(1, wish.max_context_length - wish.max_length)
