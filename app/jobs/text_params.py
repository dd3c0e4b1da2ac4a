"""How texts are written: parameters, their bounds and their defaults, and the payload that text backends know. Pure.

Names and bounds are those that the Horde's text backends share. Look next: `app.jobs.text_request` for the checks,
`app.jobs.text_inputs` for how clients name them.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from app.ledger.text_upfront import MIN_LENGTH

N: Final = (1, 20)
#: tokens
MAX_LENGTH: Final = (MIN_LENGTH, 4096)
MAX_CONTEXT_LENGTH: Final = (80, 1_048_576)
#: bounds of numbers that workers are given as they are, by name
FLOATS: Final = {
    "rep_pen": (1.0, 3.0),
    "rep_pen_slope": (0.0, 10.0),
    "temperature": (0.0, 5.0),
    "tfs": (0.0, 1.0),
    "top_a": (0.0, 1.0),
    "top_p": (0.001, 1.0),
    "typical": (0.0, 1.0),
    "min_p": (0.0, 1.0),
    "smoothing_factor": (0.0, 10.0),
    "dynatemp_range": (0.0, 5.0),
    "dynatemp_exponent": (0.0, 5.0),
}
INTEGERS: Final = {"rep_pen_range": (0, 4096), "top_k": (0, 200)}
FLAGS: Final = (
    "singleline",
    "frmtadsnsp",
    "frmtrmblln",
    "frmtrmspch",
    "frmttriminc",
    "use_default_badwordsids",
)
#: the samplers that an order must name, and the most that it names
LEAST_SAMPLERS: Final = 7
MOST_SAMPLERS: Final = 30
#: numbers by which backends know samplers
SAMPLER: Final = (0, 100)
MAX_STOP_SEQUENCES: Final = 128
#: of all stop sequences together
MAX_STOP_CHARS: Final = 2_000


class TextParams(msgspec.Struct, frozen=True, kw_only=True):
    """Parameters of a text job. None: the backend's own default."""

    n: int = 1
    #: tokens that are written at most
    max_length: int = 80
    #: tokens that are read at most, those of the prompt and of what is written
    max_context_length: int = 2048
    rep_pen: float | None = None
    rep_pen_range: int | None = None
    rep_pen_slope: float | None = None
    temperature: float | None = None
    tfs: float | None = None
    top_a: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    typical: float | None = None
    min_p: float | None = None
    smoothing_factor: float | None = None
    dynatemp_range: float | None = None
    dynatemp_exponent: float | None = None
    sampler_order: tuple[int, ...] = ()
    stop_sequence: tuple[str, ...] = ()
    singleline: bool | None = None
    frmtadsnsp: bool | None = None
    frmtrmblln: bool | None = None
    frmtrmspch: bool | None = None
    frmttriminc: bool | None = None
    use_default_badwordsids: bool | None = None


def payload_of(params: TextParams, soft_prompt: str | None) -> str:
    """What workers are given besides the prompt, as a JSON text; what was not asked for is left out.

    So is `n`: a worker is told which texts it took, and each is one.
    """
    named: dict[str, Any] = {**msgspec.structs.asdict(params), "soft_prompt": soft_prompt}
    given = {
        name: value for name, value in named.items() if value is not None and value != () and name != "n"
    }
    return msgspec.json.encode(given).decode()


def shortened(payload: str, params: TextParams) -> str:
    """The payload of a job that was shortened."""
    changed = msgspec.json.decode(payload)
    changed["max_length"] = params.max_length
    return msgspec.json.encode(changed).decode()
