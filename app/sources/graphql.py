"""The API of source images: a link to upload one. Jobs name it by its id.

Resolvers only parse, call and map. Look next: `app.sources.handlers`, docs/sources.md.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import strawberry

from app.platform.commands import Rejection
from app.platform.graphql import errors
from app.platform.graphql.rejections import error_of
from app.platform.rates import UPLOADS
from app.platform.services import Info, services_of
from app.platform.sources import MAX_SOURCE_BYTES
from app.sources import handlers
from events.base import ANONYMOUS


@strawberry.input(description="A source image that you are going to upload.")
class CreateUploadInput:
    """Input of createUpload."""

    content_length: int | None = strawberry.field(
        default=None, description="Its bytes, if you know them: too many are refused before you upload."
    )
    idempotency_key: str | None = strawberry.field(
        default=None,
        description="With the same key you get a link for the same upload again. Without an account: a UUID.",
    )


@strawberry.type(description="A place for one source image.")
class Upload:
    """An upload, used or not."""

    id: strawberry.ID = strawberry.field(
        description="By this a job of yours names it as a source; any number of jobs may."
    )
    url: str = strawberry.field(
        description="PUT the picture (WebP, PNG or JPEG) there, without a Content-Type header."
    )
    expires_at: datetime = strawberry.field(description="Until when the link is good.")
    max_bytes: int = strawberry.field(description="The largest file that a job takes as a source.")


@strawberry.type(description="You may upload.")
class CreateUploadSuccess:
    """Result of createUpload."""

    upload: Upload = strawberry.field(description="Where to.")


CreateUploadResult = Annotated[
    CreateUploadSuccess | errors.InvalidInput | errors.TryAgain,
    strawberry.union("CreateUploadResult", description="What came of createUpload."),
]


@strawberry.type
class SourceMutations:
    """Mutations of sources."""

    @strawberry.mutation(
        description="A link to upload a source image. What no job names is deleted after some days.",
        graphql_type=CreateUploadResult,
    )
    async def create_upload(
        self,
        info: Info,
        input: Annotated[CreateUploadInput, strawberry.argument(description="What you will upload.")],
    ) -> Any:
        """Limited by address, and by account."""
        services, actor = services_of(info), info.context.viewer.subject
        counted = [info.context.address] if actor == ANONYMOUS else [info.context.address, str(actor)]
        for who in counted:
            if (delay := await services.rates.delay(UPLOADS, "upload", who)) is not None:
                message = "too many uploads in this minute"
                return errors.TryAgain(message=message, path=[], retry_after_seconds=delay)
        made = handlers.create_upload(services, actor, input.content_length, input.idempotency_key)
        if isinstance(made, Rejection):
            return error_of(made)
        return CreateUploadSuccess(
            upload=Upload(
                id=strawberry.ID(str(made.id)),
                url=made.url,
                expires_at=made.expires_at,
                max_bytes=MAX_SOURCE_BYTES,
            )
        )
