"""`hoard write`: texts that go on from a prompt, on the command line. Look next: `ordering.py`."""

import asyncio
import sys
from typing import Any

import click

from clients.api import endpoint
from clients.ordering import TEXTS, Order, carry_out
from clients.ordering_options import CHOICES, addressed, choosy, given
from clients.report import Report

_TOP = {"models": "models", "downgrade": "allowDowngrade", **CHOICES}
_PARAMS = {
    "n": "n",
    "length": "maxLength",
    "context": "maxContextLength",
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "min_p": "minP",
    "rep_pen": "repPen",
    "stop": "stopSequence",
    "singleline": "singleline",
    "whole_sentences": "frmttriminc",
}


@click.command("write")
@click.argument("prompt")
@click.option("--model", "models", multiple=True, help="A model that will do; may be repeated. None: any.")
@click.option("--n", type=int, help="How many texts.")
@click.option("--length", type=int, help="The longest text, in tokens.")
@click.option("--context", type=int, help="Tokens that are read at most; of a longer prompt only the end.")
@click.option("--temperature", type=float, help="How much is left to chance.")
@click.option("--top-p", type=float, help="Only the likeliest tokens up to this probability together.")
@click.option("--top-k", type=int, help="Only so many of the likeliest tokens.")
@click.option("--min-p", type=float, help="Only tokens at least so likely, in proportion to the likeliest.")
@click.option("--rep-pen", type=float, help="Penalty on repetition.")
@click.option("--stop", multiple=True, help="A text after which nothing more is written; may be repeated.")
@click.option("--singleline", is_flag=True, default=None, help="Stop at the end of the line.")
@click.option("--whole-sentences", is_flag=True, default=None, help="Remove an unfinished sentence.")
@click.option("--downgrade", is_flag=True, default=None, help="Rather a shorter text than none.")
@choosy
@addressed
def write_command(*, prompt: str, url: str, api_key: str, as_json: bool, **options: Any) -> None:
    """Have texts written that go on from PROMPT ("-": from standard input)."""
    if prompt == "-":
        prompt = sys.stdin.read()
    try:
        order = Order(trade=TEXTS, url=endpoint(url), key=api_key, wish=text_wish(prompt, **options))
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    sys.exit(asyncio.run(carry_out(order, Report(as_json=as_json))))


def text_wish(prompt: str, **options: Any) -> dict[str, Any]:
    """The `SubmitTextJobInput` of what was given."""
    wish: dict[str, Any] = {"prompt": prompt, **given(options, _TOP)}
    params = given(options, _PARAMS)
    return wish | ({"params": params} if params else {})
