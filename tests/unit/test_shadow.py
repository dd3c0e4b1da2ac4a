"""Another price book, or another rank rule, on a real log: the present one comes to what was recorded, others to what they say."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from click.testing import CliRunner, Result

from app.cli import main
from app.jobs.image_params import Lora, Sampler, Workflow
from app.ledger.families import Family
from app.ledger.price_book import CURRENT
from app.ledger.priority import RULE
from app.platform.post_processors import PostProcessor
from app.research.job import place_of
from app.research.shadow import shadow
from app.research.shadow_rank import shadow_rank
from app.workers.lease_decider import ReleaseLease
from events.base import ANONYMOUS
from events.jobs import ImageJobSubmitted, InterrogationForm
from tests.factories import grant, pop, submit, submit_forms, submit_text
from tests.model import MemoryLog
from tests.research_log import name, research_log
from tests.unit.operations.test_log_copies import write_copy

RICH = name("user", 5)


def all_kinds() -> MemoryLog:
    """Jobs of every kind, with all that a price depends on and the log holds."""
    log = research_log(jobs=12)
    log.run(grant(RICH, 1_000_000))
    for job in (
        submit(RICH, n=2, models=("SDXL 1.0",), width=1024, height=1024),
        submit(
            RICH,
            models=("SDXL 1.0", "stable"),
            post_processing=(PostProcessor.GFPGAN, PostProcessor.REALESRGAN_X4PLUS),
        ),
        submit(RICH, models=(), max_kudos=100_000),
        submit(RICH, sampler=Sampler.K_HEUN, steps=20, shared=True),
        submit(RICH, loras=(Lora(name="1"),)),
        submit(RICH, wish={"slow_workers": False, "denied_workers": (name("worker", 9),)}),
        submit_text(RICH, n=2, models=("koboldcpp/Mistral-7B-Instruct-v0.3",)),
        submit_text(RICH, models=(), prompt="once " * 4_000),
        submit_text(RICH, models=("nobody knows",), wish={"slow_workers": False}),
        submit_forms(
            RICH, InterrogationForm.CAPTION, InterrogationForm.INTERROGATION, PostProcessor.GFPGAN, tiles=3
        ),
    ):
        log.run(job)
    return log


@pytest.fixture(scope="module")
def log() -> MemoryLog:
    return all_kinds()


@pytest.fixture(scope="module")
def command(log: MemoryLog, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Result]:
    folder = tmp_path_factory.mktemp("copy")
    write_copy(folder, log.events, 100)
    return lambda *asked: CliRunner().invoke(main, ["shadow", *map(str, asked), "--from", str(folder)])


@pytest.fixture
def book(command: Callable[..., Result], tmp_path: Path) -> Callable[[str], dict[str, Any]]:
    """What a book with these changes comes to."""

    def tried(changes: str) -> dict[str, Any]:
        (tmp_path / "book.toml").write_text(changes, encoding="utf-8")
        done = command("--book", tmp_path / "book.toml", "--json")
        assert done.exit_code == 0, done.output
        answer: dict[str, Any] = msgspec.json.decode(done.stdout)
        return answer

    return tried


def test_the_present_book_comes_to_what_was_recorded_of_every_job(
    log: MemoryLog, book: Callable[[str], dict[str, Any]]
):
    same = book("")
    assert same["left_out"] == {}
    quoted = sum(amount for row in log.jobs().values() for _, amount in row.quote)
    assert same["total"]["jobs"] == len(log.jobs()) == 22
    assert same["total"]["quoted"] == same["total"]["shadow"] == quoted
    assert same["most_changed"] == []
    assert {kind: sums["jobs"] for kind, sums in same["kinds"].items()} == {
        "IMAGE": 18,
        "TEXT": 3,
        "INTERROGATION": 1,
    }
    assert sum(sums["quoted"] for sums in same["models"].values()) == quoted
    assert sum(sums["quoted"] for sums in same["requesters"].values()) == quoted


def test_another_tax_is_another_burn_and_nothing_else(log: MemoryLog, book: Callable[[str], dict[str, Any]]):
    other = book("tax = 400\ntax_shared = 150\n")
    rows = [row for row in log.jobs().values() if row.kind.value == "IMAGE"]
    more = sum(row.n * (50 if row.shared else 100) for row in rows)
    total = other["total"]
    assert total["shadow"] - total["quoted"] == total["shadow_burnt"] - total["burnt"] == more
    assert other["kinds"]["TEXT"]["shadow"] == other["kinds"]["TEXT"]["quoted"]
    assert {each["shadow"] - each["quoted"] for each in other["most_changed"]} <= {50, 100, 200}


def test_families_texts_and_forms_are_priced_by_the_other_book(book: Callable[[str], dict[str, Any]]):
    before = book("")
    dear = book("[families]\nsdxl = 4\ncascade = 4\nflux = 8\nqwen = 12\n")
    grown = {
        model: dear["models"][model]["shadow"] - before["models"][model]["shadow"] for model in dear["models"]
    }
    assert grown["SDXL 1.0"] > 0
    assert grown["stable"] == grown["koboldcpp/Mistral-7B-Instruct-v0.3"] == 0
    halved = book("[texts]\ntokens_for_a_kudo = 250\n")["kinds"]["TEXT"]
    assert halved["shadow"] < halved["quoted"]
    forms = book("form = 200\nform_tile = 400\n")["kinds"]["INTERROGATION"]
    assert forms["shadow"] - forms["quoted"] == 100 + 3 * 100, "a caption, and three tiles"


def test_another_of_its_models_may_be_the_dearest_by_the_other_book(tmp_path: Path):
    """Two jobs of 512 x 512 and 30 steps: 6.50 of work and 3.00 of tax, twice the work with SDXL."""
    log = research_log(jobs=0)
    log.run(grant(RICH, 1_000_000))
    log.run(submit(RICH, models=("SDXL 1.0", "stable")))
    log.run(submit(RICH, models=(), max_kudos=1_600))
    (tmp_path / "book.toml").write_text("[families]\nplain = 5\n", encoding="utf-8")
    write_copy(tmp_path, log.events, 1_000)
    asked = ["shadow", "--book", str(tmp_path / "book.toml"), "--from", str(tmp_path), "--json"]
    found = msgspec.json.decode(CliRunner().invoke(main, asked).stdout)
    assert found["total"]["quoted"] == 2 * (2 * 650 + 300), "both are offered to SDXL, too"
    assert found["total"]["shadow"] == 2 * (5 * 650 + 300), "plain models are the dearest now"


def test_a_family_is_what_the_reference_says_where_prices_do_not_tell():
    """Of QR codes, SDXL cost four times the work, as Stable Cascade does; by the first book all cost alike."""
    log = research_log(jobs=0)
    log.run(grant(RICH, 1_000_000))
    log.run(submit(RICH, models=("Stable Cascade 1.0",), workflow=Workflow.QR_CODE))
    (event,) = [fact.event for fact in log.facts if isinstance(fact.event, ImageJobSubmitted)]
    log.append(
        msgspec.structs.replace(
            event, job=name("job", 50), price_book=1, price=650, offers=(), quote=(("all", 950),)
        )
    )
    book = msgspec.structs.replace(CURRENT, families={Family.CASCADE: 9}, families_qr_code={})

    class Known:
        def baseline(self, name: str) -> str:
            return "stable_cascade"

        def parameters(self, name: str) -> int | None:
            return None

    found = shadow(log.events, book, Known())
    assert (found.left_out, found.total.jobs) == ({}, 2)
    assert found.total.shadow == 2 * (9 * 650 + 300)


def test_who_could_pay_and_could_not_is_counted(book: Callable[[str], dict[str, Any]]):
    dear = book("tax = 2000\n")
    assert dear["too_dear"] > 0
    assert dear["within_reach"] == 0
    assert book("tax = 0\ntax_shared = 0\n")["too_dear"] == 0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ("taxes = 1", "`taxes` is no field of a price book"),
        ("tax = -1", "`tax` is -1: nothing in a price book is negative"),
        ("[families]\nsdxl = -2", "`families.sdxl` is -2"),
        ("[texts]\nlength = 3", "`texts.length` is no field"),
        ('tax = "much"', "$.tax"),
        ("[families]\nnone = 2", "Invalid enum value 'none'"),
        ("tax = ", "book.toml"),
        ("step = nan", "`step` is NaN"),
        ('step = "-1"', "`step` is -1"),
        ("area_factor = inf", "`area_factor` is Infinity"),
        ("reference_pixels = 4096", "`reference_pixels` is 4096"),
        ("[texts]\ntokens_for_a_kudo = 0", "`texts.tokens_for_a_kudo` is 0"),
        ("step = 1e999999", "no price can be computed"),
    ],
)
def test_a_file_that_is_no_book_is_one_line(
    command: Callable[..., Result], tmp_path: Path, changes: str, said: str
):
    (tmp_path / "book.toml").write_text(changes, encoding="utf-8")
    done = command("--book", tmp_path / "book.toml")
    assert done.exit_code == 1
    assert said in done.output
    assert len(done.output.splitlines()) == 1


def ranks(command: Callable[..., Result], *asked: object) -> dict[str, Any]:
    done = command(*asked, "--json")
    assert done.exit_code == 0, done.output
    answer: dict[str, Any] = msgspec.json.decode(done.stdout)
    return answer


def test_the_present_rule_moves_nobody_and_others_do(log: MemoryLog, command: Callable[..., Result]):
    same = ranks(command, "--ageing", 5)
    assert same["most_moved"] == []
    assert same["requesters"]["registered"]["ahead"] == same["requesters"]["registered"]["shadow"] > 0
    assert same["requesters"]["registered"]["jobs"] == len(log.jobs())
    fifo = ranks(command, "--ageing", 10_000)
    places = fifo["requesters"]["registered"]
    assert places["shadow"] > places["ahead"], "nobody gets in front by kudos any more"
    assert places["better"] == 0 < places["worse"]
    lines = command("--ageing", 10_000).output.splitlines()
    assert lines[-1].endswith("is not known")


def test_anonymous_jobs_among_all_others(tmp_path: Path):
    log = research_log(jobs=0)
    log.run(submit(name("user", 1)))
    log.wait(60)
    log.run(submit(ANONYMOUS))
    log.wait(60)
    log.run(submit(name("user", 0), width=64, height=64))
    write_copy(tmp_path, log.events, 1_000)
    asked = ["shadow", "--one-tier", "--ageing", "10000", "--from", str(tmp_path), "--json"]
    found = msgspec.json.decode(CliRunner().invoke(main, asked).stdout)["requesters"]
    assert found["anonymous"] == {"jobs": 1, "ahead": 1, "shadow": 1, "better": 0, "worse": 0}
    assert found["registered"]["worse"] == 1, "who came after the anonymous job stands behind it"


def test_who_was_given_back_waits_again_and_who_has_no_source_yet_does_not():
    """As `hoard why job` counts them."""
    log = research_log(jobs=0)
    back, lease, host = name("job", 1), name("lease", 1), name("user", 5)
    log.run(submit(name("user", 4), job=back))
    log.run(pop(name("worker", 0), host, lease=lease))
    log.run(submit(name("user", 3), job=name("job", 2)))
    log.run(ReleaseLease(lease=lease, owner=host))
    log.run(submit(name("user", 2), job=name("job", 3)))
    fetching = next(fact.event for fact in log.facts if isinstance(fact.event, ImageJobSubmitted))
    log.append(msgspec.structs.replace(fetching, job=name("job", 4), generations=(uuid4(),), fetching=True))
    log.run(submit(name("user", 0), job=name("job", 5)))
    (found,) = shadow_rank(log.events, RULE).requesters.values()
    ahead = [place_of(name("job", number), log.events).ahead for number in range(1, 6)]
    assert ahead == [0, 0, 2, 1, 3]
    assert (found.jobs, found.ahead, found.shadow) == (5, sum(ahead), sum(ahead))


def test_one_thing_is_tried_at_a_time(command: Callable[..., Result], tmp_path: Path):
    assert command().exit_code == 2
    (tmp_path / "book.toml").write_text("")
    assert command("--book", tmp_path / "book.toml", "--one-tier").exit_code == 2
    assert "in hand" in command("--book", tmp_path / "book.toml").output
