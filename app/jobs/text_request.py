"""Checks what a client asks of a text job, field by field, and names every fault at once.

Pure. It knows bounds, neither people nor models: who may ask for how much is decided in `app.jobs.text_wish`. Where the
Horde has a code for a fault, the message ends with it. Look next: `app.jobs.text_params` for the bounds, `app.jobs.fields`
for how values are taken.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from app.jobs import text_params as bounds
from app.jobs.fields import (
    Fault,
    Fields,
    boolean,
    each,
    integer,
    items,
    mapping,
    number,
    refusal,
    text,
    words,
)
from app.jobs.text_params import TextParams

#: some 50,000 tokens; a request carries that many characters of whatever language
MAX_PROMPT_CHARS: Final = 200_000
MAX_MODELS: Final = 20
MAX_MODEL_CHARS: Final = 100
MAX_SOFT_PROMPT_CHARS: Final = 100
MAX_WORKERS: Final = 5
MAX_WORKER_CHARS: Final = 100
MAX_PROXIED_CHARS: Final = 255

_MODEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._+:#()\[\]/-]*")
_MAX_KUDOS: Final = 2**63 - 1


class TextRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A text job that a client may ask for, its parameters checked and filled."""

    prompt: str
    #: any of these will do; none means any model at all
    models: tuple[str, ...] = ()
    params: TextParams = TextParams()
    #: by the name that workers declare
    soft_prompt: str | None = None
    nsfw: bool = False
    #: workers by id or name: only these, or with `deny_workers` all but these
    workers: tuple[str, ...] = ()
    deny_workers: bool = False
    trusted_workers: bool = False
    #: only workers whose program is known
    validated_backends: bool = False
    slow_workers: bool = True
    extra_slow_workers: bool = False
    #: whether a worker may write several of its texts at once
    batching: bool = True
    #: shorten it rather than refuse it
    allow_downgrade: bool = False
    #: for whom a service asks, by a name of its own
    proxied_account: str | None = None
    #: the most the client will pay, in hundredths of kudos
    max_kudos: int | None = None


def validate_text_request(raw: Mapping[str, object]) -> TextRequest | tuple[Fault, ...]:
    """The request that `raw` makes, or every fault in it.

    Args:
        raw: the fields of `TextRequest` by their names, `params` a mapping of those of `TextParams`. What is missing or
            None takes its default.
    """
    fields = Fields(raw, ("input",))
    nested = Fields(fields.take("params", mapping, {}), ("input", "params"))
    request = TextRequest(
        prompt=fields.require("prompt", _prompt),
        models=fields.take("models", _models, ()),
        params=_params(nested),
        soft_prompt=fields.take("soft_prompt", _name, None),
        nsfw=fields.take("nsfw", boolean, default=False),
        workers=fields.take("workers", _workers, ()),
        deny_workers=fields.take("deny_workers", boolean, default=False),
        trusted_workers=fields.take("trusted_workers", boolean, default=False),
        validated_backends=fields.take("validated_backends", boolean, default=False),
        slow_workers=fields.take("slow_workers", boolean, default=True),
        extra_slow_workers=fields.take("extra_slow_workers", boolean, default=False),
        batching=fields.take("batching", boolean, default=True),
        allow_downgrade=fields.take("allow_downgrade", boolean, default=False),
        proxied_account=fields.take("proxied_account", _PROXIED, None),
        max_kudos=fields.take("max_kudos", _MAX_KUDOS_CHECK, None),
    )
    return (*fields.faults, *nested.faults) or request


def _params(fields: Fields) -> TextParams:
    default = TextParams()
    given: dict[str, Any] = {
        **{name: fields.take(name, check, None) for name, check in _FLOATS.items()},
        **{name: fields.take(name, check, None) for name, check in _INTEGERS.items()},
        **{name: fields.take(name, boolean, None) for name in bounds.FLAGS},
    }
    made = TextParams(
        n=fields.take("n", _N, default.n),
        max_length=fields.take("max_length", _MAX_LENGTH, default.max_length),
        max_context_length=fields.take("max_context_length", _MAX_CONTEXT_LENGTH, default.max_context_length),
        sampler_order=fields.take("sampler_order", _sampler_order, ()),
        stop_sequence=fields.take("stop_sequence", _stop_sequence, ()),
        **given,
    )
    if made.max_context_length < made.max_length:
        message = f"must be at least maxLength, {made.max_length} (TokenOverflow)"
        fields.faults.append(Fault(("input", "params", "maxContextLength"), message))
    return made


def _prompt(value: object) -> str:
    found = text(value, MAX_PROMPT_CHARS)
    if not found.strip():
        raise refusal("must not be empty (MissingPrompt)")
    return found


def _name(value: object) -> str:
    name = text(value, MAX_MODEL_CHARS, 1)
    if not _MODEL.fullmatch(name):
        raise refusal("may hold letters, digits, spaces and ._+:#()[]/- and starts with a letter or digit")
    return name


def _models(value: object) -> tuple[str, ...]:
    return each(value, _name, MAX_MODELS)


def _workers(value: object) -> tuple[str, ...]:
    return each(value, _WORKER, MAX_WORKERS)


def _sampler_order(value: object) -> tuple[int, ...]:
    found = tuple(_SAMPLER(item) for item in items(value, bounds.MOST_SAMPLERS))
    if found and len(set(found)) < bounds.LEAST_SAMPLERS:
        raise refusal(
            f"must name at least {bounds.LEAST_SAMPLERS} different samplers (MissingFullSamplerOrder)"
        )
    return found


def _stop_sequence(value: object) -> tuple[str, ...]:
    """Repeated ones count once; the most of them, and of their characters, is checked of all together."""
    found = tuple(dict.fromkeys(_STOP(item) for item in items(value, _MANY)))
    if len(found) > bounds.MAX_STOP_SEQUENCES:
        raise refusal(f"must hold at most {bounds.MAX_STOP_SEQUENCES} different texts (TooManyStopSequences)")
    if sum(map(len, found)) > bounds.MAX_STOP_CHARS:
        message = f"must have at most {bounds.MAX_STOP_CHARS} characters in all (ExcessiveStopSequence)"
        raise refusal(message)
    return found


#: stop sequences that are looked at before they are found to be too many
_MANY: Final = 1_000
# Made once: a request is checked by some thirty of them.
_FLOATS: Final = {name: number(*bound) for name, bound in bounds.FLOATS.items()}
_INTEGERS: Final = {name: integer(*bound) for name, bound in bounds.INTEGERS.items()}
_N: Final = integer(*bounds.N)
_MAX_LENGTH: Final = integer(*bounds.MAX_LENGTH)
_MAX_CONTEXT_LENGTH: Final = integer(*bounds.MAX_CONTEXT_LENGTH)
_SAMPLER: Final = integer(*bounds.SAMPLER)
_STOP: Final = words(bounds.MAX_STOP_CHARS, 1)
_WORKER: Final = words(MAX_WORKER_CHARS, 1)
_PROXIED: Final = words(MAX_PROXIED_CHARS, 1)
_MAX_KUDOS_CHECK: Final = integer(0, _MAX_KUDOS)
