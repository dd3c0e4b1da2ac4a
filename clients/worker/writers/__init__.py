"""What writes the texts. A writer gets a `TextTask` and answers a text; it knows nothing of servers and leases.

`procedural.py` writes sentences by itself, `koboldcpp.py` and `openai.py` ask a text server, `local.py` runs a model
here. `formatting.py` lays out what any of them wrote.
"""

from typing import Any, Protocol

import msgspec

from clients.worker.backends import BackendError

#: The most that the API lets a worker offer, in tokens.
LONGEST, WIDEST = 65_536, 1_048_576
#: Characters in a token, about: what is reckoned with where no tokenizer is at hand.
TOKEN = 4


class TextWish(msgspec.Struct, frozen=True, kw_only=True):
    """What the requester asked for, by the names that text backends know; lengths are tokens.

    Keys that are missing or null get these defaults; keys not known here are ignored. None: the backend's own.
    """

    prompt: str = ""
    max_length: int = 80
    max_context_length: int = 2048
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    top_a: float | None = None
    typical: float | None = None
    tfs: float | None = None
    min_p: float | None = None
    rep_pen: float | None = None
    rep_pen_range: int | None = None
    rep_pen_slope: float | None = None
    smoothing_factor: float | None = None
    dynatemp_range: float | None = None
    dynatemp_exponent: float | None = None
    sampler_order: tuple[int, ...] = ()
    stop_sequence: tuple[str, ...] = ()
    use_default_badwordsids: bool | None = None
    #: How the text is laid out: one line, no empty lines, no odd signs, a space first, whole sentences.
    singleline: bool = False
    frmtrmblln: bool = False
    frmtrmspch: bool = False
    frmtadsnsp: bool = False
    frmttriminc: bool = False

    @classmethod
    def parse(cls, payload: dict[str, Any]) -> "TextWish":
        """The wish in an assignment's payload. Raises BackendError if a value makes no sense."""
        given = {key: value for key, value in payload.items() if value is not None}
        try:
            wish = msgspec.convert(given, cls, strict=False)
        except msgspec.ValidationError as error:
            raise BackendError(f"the payload makes no sense: {error}") from error
        if wish.max_length < 1:
            raise BackendError("the payload asks for a text without length")
        return wish


class TextTask(msgspec.Struct, frozen=True, kw_only=True):
    """One text to write."""

    generation_id: str
    model: str
    seed: str
    wish: TextWish


class Writer(Protocol):
    """Writes texts, possibly several at a time."""

    #: One plain sentence about what this backend is, shown when the worker starts.
    confession: str
    #: Models it answers to if the settings name none, and the tokens that it writes and reads at most.
    models: tuple[str, ...]
    longest: int
    widest: int

    async def prepare(self) -> None:
        """Load what is to be loaded, or ask the server what it has. Raises BackendError."""
        ...

    async def write(self, task: TextTask) -> str:
        """What goes on after the prompt. Raises BackendError; may be cancelled at any time."""
        ...

    async def close(self) -> None:
        """Give up connections."""
        ...
