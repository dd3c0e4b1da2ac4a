"""What pictures cost: by their work, by the model, by what is asked of workers; and who needs the kudos in hand."""

from decimal import Decimal
from typing import Any

import pytest

from tests.acceptance.horde import Horde, User, refused, unique
from tests.acceptance.processes import eventually, run_cli
from tests.acceptance.wires import Api

QUOTED = "... on QuoteSuccess { quote { total items { label amount } } warnings { code message } }"
HELD = "... on InsufficientKudos { required available missing limitPixels limitSteps largest { width height steps n } }"
TAX = Decimal(3)


def quote(api: Api, **given: Any) -> dict[str, Any]:
    document = (
        "query($input: SubmitImageJobInput!) { quoteImageJob(input: $input) { "
        f"{QUOTED} ... on UserError {{ code message path }} }} }}"
    )
    found: dict[str, Any] = api.ask(document, input={"prompt": "a lighthouse", **given})["quoteImageJob"]
    assert "quote" in found, found
    return found


def total(api: Api, **given: Any) -> Decimal:
    return Decimal(quote(api, **given)["quote"]["total"])


def items(api: Api, **given: Any) -> dict[str, str]:
    return {item["label"]: item["amount"] for item in quote(api, **given)["quote"]["items"]}


def refusal(api: Api, *path: str, **given: Any) -> dict[str, Any]:
    """Why a submission is refused for its kudos."""
    with refused("INSUFFICIENT_KUDOS", "input", *path) as found:
        api.call("submitImageJob", HELD, {"prompt": "a lighthouse", **given})
    assert found.refusal is not None
    return found.refusal.result


def sized(side: int, steps: int = 30, **more: Any) -> dict[str, Any]:
    return {"width": side, "height": side, "steps": steps, **more}


# ------------------------------------------------------------------ work


@pytest.mark.parametrize(
    ("side", "steps", "price"),
    [(512, 30, "6.50"), (512, 50, "10.83"), (768, 30, "15.45"), (1024, 30, "36.04"), (1024, 50, "60.06")],
)
def test_the_price_follows_from_the_work(alice: User, side: int, steps: int, price: str) -> None:
    """Features 141 and 142 of docs/checklist.md: by pixels and steps, by an arithmetic that anybody can repeat."""
    assert total(alice.api, models=[unique("plain")], params=sized(side, steps)) == Decimal(price) + TAX


def test_the_tax_comes_last_and_is_multiplied_by_nothing(alice: User) -> None:
    """Feature 144: flat, less for what is shared, the same for the smallest and for the largest job."""
    for models in ([unique("plain")], [unique("large [Qwen]")]):
        given = {"models": models, "params": {"n": 2, "postProcessing": ["NMKD_SIAX"]}, "slowWorkers": False}
        lines = quote(alice.api, **given)["quote"]["items"]
        assert lines[-1] == {"label": "Horde tax, 2 x 3.00", "amount": "6.00"}
        assert total(alice.api, **given) - total(alice.api, share=True, **given) == 4


@pytest.mark.parametrize(
    ("mark", "params", "label", "times"),
    [
        ("", {}, None, 1),
        ("[SDXL]", {}, "SDXL model x2", 2),
        ("[SDXL]", {"hiresFix": True}, "SDXL model x2", 2),
        ("[Flux]", {}, "Flux model x8", 8),
        ("[ZImage]", {}, "Flux model x8", 8),
        ("[Qwen]", {}, "Qwen model x12", 12),
    ],
)
def test_a_large_model_multiplies_the_price(
    alice: User, mark: str, params: dict[str, Any], label: str | None, times: int
) -> None:
    """Feature 143: by what a model was trained from, also for one that the model reference does not know."""
    given = {"models": [unique(f"model {mark}")], "params": params}
    assert total(alice.api, **given) == Decimal("6.50") * times + TAX
    assert {name for name in items(alice.api, **given) if "model" in name} == ({label} if label else set())


def test_of_several_models_the_dearest_is_quoted_and_the_one_that_drew_is_paid(
    alice: User, bob: User
) -> None:
    """Feature 143: the hold is enough for any of them, and what was not needed comes back."""
    small, large = unique("small"), unique("large [SDXL]")
    job = alice.submit(models=[small, large])
    assert job.job["quote"]["total"] == "16.00"
    assert alice.me()["held"] == "16.00"
    taken = bob.worker(small).take()
    assert bob.worker(small).deliver(taken)["reward"] == "6.50"
    assert (job.now()["charged"], alice.me()["held"]) == ("9.50", "0.00")
    assert alice.kudos == Decimal(1000) - Decimal("9.50")
    again = alice.submit(models=[small, large])
    assert bob.worker(large).serve()["model"] == large
    assert again.now()["charged"] == "16.00"


def test_a_job_for_any_model_is_a_plain_one_unless_it_may_cost_more(alice: User, bob: User) -> None:
    """Feature 143: without maxKudos no large model draws it; with it one may, and is paid as such."""
    large = unique("large [SDXL]")
    plain = alice.submit()
    assert plain.job["quote"]["total"] == "9.50"
    assert bob.worker(large).pop()["__typename"] == "NoJob"
    plain.cancel()
    assert total(alice.api, maxKudos="15.99") == Decimal("9.50")
    assert total(alice.api, maxKudos="16.00") == Decimal("16.00")
    job = alice.submit(maxKudos="16.00")
    assert bob.worker(large).serve()["jobId"] == job.id
    assert job.now()["charged"] == "16.00"
    with refused("INVALID_INPUT", "input", "maxKudos"):
        alice.submit(maxKudos="9.49")


# ------------------------------------------------------------------ surcharges


def test_enlarging_costs_its_work_and_a_surcharge(alice: User, bob: User, model: str) -> None:
    """Feature 145: the worker earns the work; the surcharge is burnt."""
    given = {"models": [model], "params": {"postProcessing": ["GFPGAN", "REALESRGAN_X4PLUS"]}}
    assert items(alice.api, **given) == {
        "1 x 512x512, 30 steps": "6.50",
        "post-processing GFPGAN x1.2": "1.30",
        "post-processing RealESRGAN_x4plus x1.2": "1.56",
        "surcharge for RealESRGAN_x4plus x1.05": "0.47",
        "Horde tax, 1 x 3.00": "3.00",
    }
    job = alice.submit(**given)
    worker = bob.worker(model, allowPostProcessing=True)
    taken = worker.take()
    assert worker.deliver(taken)["reward"] == "9.36"
    assert job.now()["charged"] == job.job["quote"]["total"] == "12.83"
    assert alice.kudos == Decimal(1000) - Decimal("12.83")


def test_a_source_image_costs_three_tenths_more(alice: User, model: str) -> None:
    """Feature 145: whatever is done with it."""
    source = {"source": {"url": "https://pictures.example.org/a.png"}}
    for processing in ("IMG2IMG", "OUTPAINTING"):
        given = {"models": [model], "sourceProcessing": processing, **source}
        assert items(alice.api, **given)["source image x1.3"] == "1.95"
        assert total(alice.api, **given) == Decimal("11.45")


def test_refusing_slow_workers_costs_a_fifth_more_and_is_paid_in_advance(
    horde: Horde, alice: User, model: str
) -> None:
    """Feature 59: the surcharge is of the price without the tax; nobody gets it without the kudos for it."""
    given = {"models": [model], "slowWorkers": False}
    assert items(alice.api, **given)["slow workers refused x1.2"] == "1.30"
    assert alice.submit(**given).job["quote"]["total"] == "10.80"
    poor = horde.register("poor", "10.79")
    found = refusal(poor.api, "slowWorkers", **given)
    assert (found["required"], found["missing"]) == ("10.80", "0.01")
    # What they would have put up with anyway they may have.
    poor.submit(models=[model])


def test_denying_workers_costs_a_tenth_more(alice: User, bob: User, model: str) -> None:
    """Feature 61: the price of a deny list; a list of those that may serve costs nothing."""
    worker = bob.worker(model)
    worker.pop()
    assert total(alice.api, models=[model], workers=[worker.name]) == Decimal("9.50")
    denied = {"models": [model], "workers": [worker.name], "denyWorkers": True}
    assert items(alice.api, **denied)["workers denied x1.1"] == "0.65"
    assert total(alice.api, **denied) == Decimal("10.15")


def test_a_preview_queues_and_holds_nothing_and_is_what_the_job_will_cost(alice: User, model: str) -> None:
    """Feature 64: the whole quote with everything that multiplies it."""
    given = {
        "models": [model, unique("large [Qwen]")],
        "params": {"n": 3, "postProcessing": ["NMKD_SIAX"]},
        "slowWorkers": False,
    }
    seen = quote(alice.api, **given)["quote"]
    assert alice.me()["held"] == "0.00"
    job = alice.submit(**given)
    assert job.job["quote"] == seen
    assert Decimal(alice.me()["held"]) == Decimal(seen["total"])
    job.cancel()


# ------------------------------------------------------------------ kudos in hand


def test_the_less_there_is_to_do_the_larger_a_job_is_free(horde: Horde, model: str) -> None:
    """Feature 148: for who holds kudos by the load, for others never more than 576 x 576."""
    user = horde.register("known", "1")
    idle = refusal(user.api, "params", "width", models=[model], params=sized(2048))
    newcomer = horde.register()
    found = refusal(newcomer.api, "params", "width", models=[model], params=sized(2048))
    assert (found["limitPixels"], found["limitSteps"]) == (576 * 576, 40)
    # 1024 + 10 for each thread (workers of tests before are online still) - 0.9 for each generation that waits.
    many = horde.register("many")
    run_cli("limit", many.alias, "5000", variables=horde.variables)
    threads = horde.anonymous.ask("{ hordeStatus { threads } }")["hordeStatus"]["threads"]
    jobs = [
        many.submit(models=[model], params={"n": 20, "width": 64, "height": 64, "steps": 1})
        for _ in range((10 * threads + 450) * 10 // 9 // 20)
    ]

    def limit() -> int:
        found = refusal(user.api, "params", "width", models=[model], params=sized(2048))
        return int(found["limitPixels"])

    assert eventually(lambda: limit() < idle["limitPixels"], 10, "the limit follows the load")
    assert limit() >= 576 * 576
    for job in jobs:
        job.cancel()
    assert eventually(lambda: limit() == idle["limitPixels"], 10, "the limit follows the load")


def test_what_a_model_is_made_for_is_free(horde: Horde) -> None:
    """Feature 148: a model that cannot draw smaller than 1024 x 1024 may always be asked for that."""
    poor = horde.register("poor")
    poor.submit(models=[unique("large [SDXL]")], params=sized(1024))
    refusal(poor.api, "params", "width", models=[unique("large [SDXL]"), unique("plain")], params=sized(1024))
    # Steps are free as far as ControlNets, LCM and the models need them.
    assert (
        refusal(poor.api, "params", "steps", models=[unique("m")], params=sized(512, 41))["limitSteps"] == 40
    )
    lcm = refusal(poor.api, "params", "steps", models=[unique("m")], params=sized(512, 11, sampler="LCM"))
    assert (lcm["limitSteps"], lcm["largest"]["steps"]) == (10, 10)


def test_a_job_is_made_smaller_instead_of_refused_if_i_allow_it(horde: Horde, model: str) -> None:
    """Feature 65: slow workers first, then the size, last the steps; what is affordable stays as it is."""
    poor = horde.register("poor")
    given = {"models": [model], "params": sized(1024, 60), "slowWorkers": False}
    refusal(poor.api, "params", "width", **given)
    before = horde.position()
    job = poor.submit(allowDowngrade=True, **given)
    assert job.job["quote"]["items"][0]["label"] == "1 x 576x576, 40 steps"
    assert not any("slow" in item["label"] for item in job.job["quote"]["items"])
    warning = next(w for w in job.answer["warnings"] if w["code"] == "DOWNGRADED")
    assert "576" in warning["message"]
    submitted = horde.events(before, types=["jobs.ImageJobSubmitted"])
    data = next(
        event["data"] for event in submitted if job.id.replace("-", "") in str(event).replace("-", "")
    )
    assert (data["width"], data["height"], data["steps"], data["downgraded"]) == (576, 576, 40, True)
    taken = horde.register("owner").worker(model, maxPixels=1024 * 1024).take()
    assert (taken["payload"]["width"], taken["payload"]["height"], taken["payload"]["steps"]) == (
        576,
        576,
        40,
    )
    rich = horde.register("rich", "1000")
    full = rich.submit(allowDowngrade=True, **given)
    assert full.job["quote"]["items"][0]["label"] == "1 x 1024x1024, 60 steps"
    assert not any(w["code"] == "DOWNGRADED" for w in full.answer["warnings"])
