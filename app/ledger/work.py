"""How much work a sampler makes of the steps that were asked for, and what makes do with few of them.

Pure. The price book and the length of leases both count in accurate steps; a sampler that this module does
not name does one evaluation of the model per step. Look next: `app.ledger.price_book`, `app.ledger.upfront`.
"""

from collections.abc import Iterable
from typing import Final, Protocol

#: Samplers that evaluate the model twice in every step.
SECOND_ORDER: Final = frozenset({"k_heun", "k_dpm_2", "k_dpm_2_a", "k_dpmpp_2s_a", "k_dpmpp_sde"})
#: Samplers that choose their own number of steps, and what they are counted as.
FIXED_STEPS: Final = {"k_dpm_adaptive": 50}
#: What says that a latent consistency model is at work: a sampler, LoRAs by their ids, and by those of their versions.
LCM_SAMPLER: Final = "lcm"
LCM_LORAS: Final = frozenset({"195519", "216190", "324115"})
LCM_LORA_VERSIONS: Final = frozenset({"246747", "247778", "268475", "243643", "225222", "219782", "363353"})


class LoraShape(Protocol):
    """What of a LoRA decides how its job is dealt with."""

    @property
    def name(self) -> str:
        """Its name or id, or the id of a version."""

    @property
    def is_version(self) -> bool:
        """Whether `name` is the id of a version."""


def accurate_steps(steps: int, sampler: str) -> int:
    """Evaluations of the model that `steps` steps of `sampler` (its wire name) take."""
    fixed = FIXED_STEPS.get(sampler)
    if fixed is not None:
        return fixed
    return 2 * steps if sampler in SECOND_ORDER else steps


def uses_lcm(sampler: str, loras: Iterable[LoraShape]) -> bool:
    """Whether a latent consistency model is at work, which needs few steps: by its sampler or by a known LoRA."""
    return sampler == LCM_SAMPLER or any(
        lora.name in (LCM_LORA_VERSIONS if lora.is_version else LCM_LORAS) for lora in loras
    )
