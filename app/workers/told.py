"""What workers deliver in words: a text, or what a form of interrogation tells, checked and bounded. Pure.

Look next: `app.workers.handlers`, which also looks at what was uploaded; `app.platform.form_results` for the shapes of the
forms; `app.platform.vault`, where words are kept.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from app.platform import form_results, post_processors
from app.platform.commands import Rejection
from app.platform.form_results import FormResultError
from events.jobs import InterrogationForm, JobKind

#: characters of a text: four for each of the most tokens that may be asked for, and as many again
MAX_TEXT: Final = 2 * 4 * 4_096


class Told(msgspec.Struct, frozen=True):
    """What was delivered in words; none where it is a picture."""

    text: str | None = None
    #: a JSON text
    form: str | None = None


def makes_picture(kind: JobKind, form: str | None) -> bool:
    """Whether a generation is delivered as an uploaded picture: those of image jobs, and post-processed ones."""
    return kind is JobKind.IMAGE or (form is not None and post_processors.makes_picture(form))


def words_of(
    kind: JobKind, form: str | None, text: str | None, told: Any, path: tuple[str, ...]
) -> Told | Rejection:
    """What a worker says it made, or what is wrong with it."""
    if kind is JobKind.TEXT:
        return _text(text, path)
    if form is not None and not makes_picture(kind, form):
        return _form(InterrogationForm(form), told, path)
    return Told()


def _text(text: str | None, path: tuple[str, ...]) -> Told | Rejection:
    if text is None:
        message = "a text generation is delivered with its text"
        return Rejection(code="INVALID_INPUT", message=message, path=(*path, "text"))
    if len(text) > MAX_TEXT or "\0" in text:
        message = f"a text has at most {MAX_TEXT} characters and no NUL"
        return Rejection(code="INVALID_INPUT", message=message, path=(*path, "text"))
    return Told(text=text)


def _form(form: InterrogationForm, told: Any, path: tuple[str, ...]) -> Told | Rejection:
    try:
        return Told(form=form_results.encode(form_results.check(form, told)))
    except FormResultError as error:
        message = f"{form} {error}"
        return Rejection(code="INVALID_INPUT", message=message, path=(*path, "form", *error.place))
