"""Lays out a written text as its requester wants it. Pure; the names of the wishes are those that text backends know."""

import re

from clients.worker.writers import TextWish

#: What may end a sentence, and what may close after it.
_SENTENCE = re.compile(r"[.!?…。！？][\"'”’)*\]]*")  # noqa: RUF001 - the full-width signs end sentences, too
#: Signs that `frmtrmspch` takes out.
_ODD = re.compile(r"[#/@%{}+=~|\^<>]")


def formatted(text: str, wish: TextWish) -> str:
    """The text up to the first stop sequence, then laid out."""
    text = stopped(text, wish.stop_sequence)
    if wish.singleline:
        text = text.lstrip("\n").partition("\n")[0]
    if wish.frmttriminc:
        text = _whole(text)
    if wish.frmtrmblln:
        text = re.sub(r"\n{2,}", "\n", text)
    if wish.frmtrmspch:
        text = _ODD.sub("", text)
    if wish.frmtadsnsp and text and not text[0].isspace() and wish.prompt[-1:].strip():
        text = f" {text}"
    return text


def stopped(text: str, stops: tuple[str, ...]) -> str:
    """The text before whatever stops it first."""
    places = [place for stop in stops if stop and (place := text.find(stop)) >= 0]
    return text[: min(places)] if places else text


def _whole(text: str) -> str:
    """The text up to the end of its last whole sentence; all of it if there is none."""
    ends = [found.end() for found in _SENTENCE.finditer(text)]
    return text[: ends[-1]] if ends else text
