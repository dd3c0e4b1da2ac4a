"""What an interrogation costs: each form by itself, and lines that sum to the total."""

from hypothesis import given
from hypothesis import strategies as st

from app.ledger.form_price import quote_forms
from app.ledger.price_book import CURRENT, WorkerChoice
from app.platform.post_processors import PostProcessor
from events.jobs import InterrogationForm

FORMS = [*InterrogationForm, *PostProcessor]
forms = st.lists(st.sampled_from(FORMS), min_size=1, max_size=20, unique=True)
choices = st.builds(WorkerChoice, slow_refused=st.booleans(), denied=st.integers(0, 5))


def test_a_quote_in_words():
    quote = quote_forms(
        ("caption", "interrogation", "GFPGAN"),
        tiles=6,
        reused=("caption",),
        choice=WorkerChoice(slow_refused=True, denied=1),
        book=CURRENT,
    )
    assert [(item.label, item.amount) for item in quote.items] == [
        ("caption, told before", 0),
        ("interrogation", 300),
        ("GFPGAN, 6 tiles of 512x512", 1_800),
        ("slow workers refused x1.2", 420),
        ("workers denied x1.1", 252),
        ("Horde tax, 2 x 1.00", 200),
    ]
    assert quote.total == 2_972
    assert quote.offers == (
        ("*form:caption", 100, 32),
        ("*form:interrogation", 300, 96),
        ("*form:GFPGAN", 1_800, 576),
    )


def test_only_what_makes_a_picture_costs_by_its_size():
    def price(form: str, tiles: int) -> int:
        return quote_forms((form,), tiles=tiles, reused=(), choice=WorkerChoice(), book=CURRENT).price

    assert {price(form, 64) for form in InterrogationForm} == {100, 300}
    assert {price(form, 64) for form in PostProcessor} == {64 * 300}


@given(forms, st.integers(0, 64), choices, st.data())
def test_the_items_sum_to_the_total_and_offers_and_tax_are_what_is_paid(asked, tiles, choice, data):
    reused = data.draw(st.sets(st.sampled_from(asked)))
    quote = quote_forms(asked, tiles=tiles, reused=reused, choice=choice, book=CURRENT)
    paid = [
        price + surcharge
        for form, (_, price, surcharge) in zip(asked, quote.offers, strict=True)
        if form not in reused
    ]
    assert quote.total == sum(item.amount for item in quote.items) == sum(paid) + len(paid) * quote.tax
    assert quote.price == max(price for _, price, _ in quote.offers)
