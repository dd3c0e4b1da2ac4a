"""What a worker must allow to serve a job, by the names in `projections.queue`. Pure.

Some follow from what was asked for, some from who asks. Look next: `projections.queue`, `app.fleet.serving` for what
workers allow.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Final

from app.jobs.image_params import MODERN_POST_PROCESSORS, ImageParams, accurate_steps
from app.jobs.wish import ImageWish, Settled
from app.ledger.families import Family, family_of, token
from app.ledger.quote import ModelChoice
from app.ledger.work import uses_lcm
from events.jobs import SourceProcessing
from projections.accounts import Account
from projections.queue import REQUIREMENTS

_PAINTING: Final = frozenset({SourceProcessing.INPAINTING, SourceProcessing.OUTPAINTING})
#: families whose models take three times as long
_SLOW: Final = frozenset({Family.FLUX, Family.QWEN})
_SLOW_TOKENS: Final = frozenset(
    token(family, inpainting=inpainting) for family in _SLOW for inpainting in (False, True)
)


def requirements(wish: ImageWish, settled: Settled, account: Account) -> tuple[str, ...]:
    """The names, in the order of their bits."""
    named = {
        *of_request(wish, settled.params),
        *of_requester(account, settled.quote.total, unsafe_address=wish.unsafe_address),
        *of_workers(
            trusted=wish.trusted_workers,
            slow_refused=settled.quote.terms.choice.slow_refused,
            extra_slow=wish.extra_slow_workers,
        ),
    }
    return in_order(named)


def in_order(named: Collection[str]) -> tuple[str, ...]:
    """Names of requirements in the order of their bits."""
    return tuple(name for name in REQUIREMENTS if name in named)


def has_slow_models(models: Sequence[ModelChoice], offers: Sequence[tuple[str, int, int]]) -> bool:
    """Whether a job may be drawn by models that are known to be slow."""
    if models:
        return any(family_of(model.baseline) in _SLOW for model in models)
    return any(name in _SLOW_TOKENS for name, _, _ in offers)


def of_request(wish: ImageWish, params: ImageParams) -> Iterator[str]:
    """What follows from the pictures that are asked for."""
    if wish.nsfw:
        yield "nsfw"
    yield from _of_sources(params)
    yield from _of_words(params)
    yield from _of_models(wish.models, params)
    if params.post_processing:
        yield "post_processing"
    if not MODERN_POST_PROCESSORS.isdisjoint(params.post_processing):
        yield "modern_post_processing"
    if params.hires_fix:
        yield "hires_fix"
    if params.tiling:
        yield "tiling"
    if params.clip_skip > 1:
        yield "clip_skip"
    if params.transparent:
        yield "transparent"
    if accurate_steps(params) > wish.usual_steps:
        yield "many_steps"


def _of_sources(params: ImageParams) -> Iterator[str]:
    if params.source_processing is not None:
        yield "img2img"
    if params.source_processing in _PAINTING:
        yield "painting"
    if params.extra_sources:
        yield "extra_sources"
    if params.control_type is not None:
        yield "controlnet"
    if params.image_is_control or params.return_control_map:
        yield "control_map"


def _of_words(params: ImageParams) -> Iterator[str]:
    if params.loras:
        yield "lora"
    if params.tis:
        yield "textual_inversion"
    if params.workflow is not None:
        yield "qr_code"
    if uses_lcm(params.sampler, params.loras):
        yield "lcm"


def _of_models(models: Sequence[ModelChoice], params: ImageParams) -> Iterator[str]:
    """What models of some families take besides; a job that names none is only offered to families that need not."""
    families = {family_of(model.baseline) for model in models}
    if Family.SDXL in families and (params.workflow is not None or params.transparent):
        yield "sdxl_controlnet"
    if Family.CASCADE in families and params.hires_fix:
        yield "cascade_2pass"


def of_requester(account: Account, total: int, *, unsafe_address: bool) -> Iterator[str]:
    """What follows from who asks, for a job of any kind; `total` is its whole quote in hundredths."""
    known = account.trusted
    if not known:
        yield "untrusted_requester"
        if account.available < total:
            yield "not_covered"
    if unsafe_address:
        yield "unsafe_address"
        if not known:
            yield "untrusted_unsafe_address"


def of_workers(*, trusted: bool, slow_refused: bool, extra_slow: bool) -> Iterator[str]:
    """What follows from which workers are wanted, for a job of any kind: trusted ones, no slow ones, extra slow ones, too."""
    if trusted:
        yield "trusted_worker"
    if slow_refused:
        yield "not_slow"
    if not extra_slow:
        yield "not_extra_slow"
