"""The answers of the API as frozen records: only the fields the programs use, unknown ones ignored.

The operations that ask for them are in `documents.py`. Amounts of kudos stay decimal text: they are shown, never computed.
"""

from datetime import datetime
from typing import Any, TypeVar

import msgspec

from clients.api import UnexpectedAnswerError

#: A job in one of these states changes no more.
ENDED = frozenset({"DONE", "FAULTED", "CANCELLED", "EXPIRED"})


class PriceItem(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a price."""

    label: str
    amount: str


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """What a job costs at most."""

    total: str
    items: tuple[PriceItem, ...] = ()


class Caution(msgspec.Struct, frozen=True, kw_only=True):
    """A warning that came with an accepted request."""

    code: str
    message: str


class Keyword(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a picture shows, and how sure that is."""

    keyword: str
    confidence: float


class Colour(msgspec.Struct, frozen=True, kw_only=True):
    """A colour and its share of a picture."""

    hex: str
    share: float


class FormResult(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What a form told; which fields are there depends on the form."""

    text: str | None = None
    nsfw: bool | None = None
    keywords: tuple[Keyword, ...] | None = None
    score: float | None = None
    colours: tuple[Colour, ...] | None = None
    svg: str | None = None
    image_url: str | None = None
    etag: str | None = None


class Generation(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One picture, text or form of a job, there or not yet."""

    id: str
    state: str
    seed: str | None = None
    model: str | None = None
    worker_name: str | None = None
    image_url: str | None = None
    sha256: str | None = None
    etag: str | None = None
    text: str | None = None
    tokens: int | None = None
    form: str | None = None
    #: Whether a form was told before, of the same URL.
    reused: bool = False
    result: FormResult | None = None


class JobView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A job as its owner sees it."""

    id: str
    state: str
    #: IMAGE, TEXT or INTERROGATION.
    kind: str = "IMAGE"
    charged: str
    quote: Quote
    queue_position: int | None = None
    estimated_wait_seconds: int | None = None
    generations: tuple[Generation, ...] = ()

    @property
    def ended(self) -> bool:
        """Whether it changes no more."""
        return self.state in ENDED


class Quoted(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to `quoteImageJob` and its like."""

    quote: Quote
    warnings: tuple[Caution, ...] = ()


class Submitted(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The answer to `submitImageJob` and its like; `access_key` opens the job to whoever holds it."""

    job: JobView
    access_key: str
    warnings: tuple[Caution, ...] = ()


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """A place for one source, and the link to PUT it to."""

    id: str
    url: str


class Uploading(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to `createUpload`."""

    upload: Upload


class Cancelled(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to `cancelJob`."""

    job: JobView


class WorkTask(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One thing to make: a picture or a text by its seed, or a form of interrogation to tell.

    What is a picture is PUT to its link.
    """

    id: str
    seed: str | None = None
    form: str | None = None
    upload_url: str | None = None


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """Words of the server's people to a worker."""

    id: str
    message: str


class Nothing(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to `popJob` when there is no job."""

    messages: tuple[Message, ...] = ()


class Assignment(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A lease on work of one job; `kind` is IMAGE, TEXT or INTERROGATION.

    Images and texts have a model and `payload`, the requester's wish; interrogations have forms. The links lead to
    the picture to start from or to look at, and to its mask, for some minutes.
    """

    lease_id: str
    job_id: str
    kind: str
    expires_at: datetime
    model: str | None = None
    payload: dict[str, Any] = {}
    generations: tuple[WorkTask, ...] = ()
    forms: tuple[WorkTask, ...] = ()
    source_processing: str | None = None
    source_image_url: str | None = None
    source_mask_url: str | None = None
    messages: tuple[Message, ...] = ()

    @property
    def tasks(self) -> tuple[WorkTask, ...]:
        """What is to be made."""
        return self.generations or self.forms

    @property
    def what(self) -> str:
        """Its model or its forms, for people to read."""
        return self.model or ", ".join(sorted({str(task.form) for task in self.forms}))


class Extended(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The answer to `extendLease`."""

    expires_at: datetime
    upload_urls: tuple[WorkTask, ...] = ()


class Delivered(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to `submitResult`."""

    reward: str


Shape = TypeVar("Shape", bound=msgspec.Struct)


def shaped(value: object, shape: type[Shape]) -> Shape:
    """The value as a record. Raises UnexpectedAnswerError if it is another thing."""
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError as error:
        raise UnexpectedAnswerError(f"{shape.__name__}: {error}") from error


class ToRate(msgspec.Struct, frozen=True, kw_only=True):
    """A picture that was handed out to be rated."""

    id: str
    url: str | None = None


class Degree(msgspec.Struct, frozen=True, kw_only=True):
    """A degree of artifacts."""

    artifacts: int
    description: str


class Criteria(msgspec.Struct, frozen=True, kw_only=True):
    """What a rater is asked."""

    question: str
    lowest: int
    highest: int
    artifacts: tuple[Degree, ...] = ()


class Assigned(msgspec.Struct, frozen=True, kw_only=True):
    """A picture to rate."""

    id: str
    picture: ToRate
    criteria: Criteria


class Reward(msgspec.Struct, frozen=True, kw_only=True):
    """What a rating earned."""

    amount: str
    unpaid: str | None = None


class Rated(msgspec.Struct, frozen=True, kw_only=True):
    """An accepted rating."""

    reward: Reward
