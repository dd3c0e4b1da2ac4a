"""How much work a sampler makes of the steps that were asked for.

Pure. The price book and the length of leases both count in accurate steps; a sampler that this module does
not name does one evaluation of the model per step. Look next: `app.ledger.price_book`.
"""

from typing import Final

#: Samplers that evaluate the model twice in every step.
SECOND_ORDER: Final = frozenset({"k_heun", "k_dpm_2", "k_dpm_2_a", "k_dpmpp_2s_a", "k_dpmpp_sde"})
#: Samplers that choose their own number of steps, and what they are counted as.
FIXED_STEPS: Final = {"k_dpm_adaptive": 50}


def accurate_steps(steps: int, sampler: str) -> int:
    """Evaluations of the model that `steps` steps of `sampler` (its wire name) take."""
    fixed = FIXED_STEPS.get(sampler)
    if fixed is not None:
        return fixed
    return 2 * steps if sampler in SECOND_ORDER else steps
