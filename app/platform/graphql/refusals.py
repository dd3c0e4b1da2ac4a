"""Requests that are not executed: what the client is told, and with which status. Knows no wire."""

from graphql import GraphQLError

from app.platform.graphql.masking import format_refusal
from app.platform.graphql.rendering import Payload
from app.platform.graphql.top_level import HTTP_STATUS, ApiError, TopLevelCode


class RequestRefused(Exception):
    """The request is not executed: errors for the client, without `data`.

    `document` says whether the document or its variables are at fault; then, by the specification, a
    client that takes only `application/json` sees status 200.
    """

    def __init__(
        self, errors: list[Payload], *, status: int, document: bool = False, retry_after: float | None = None
    ) -> None:
        super().__init__(status)
        self.errors = errors
        self.status = status
        self.document = document
        self.retry_after = retry_after

    @classmethod
    def of(cls, error: ApiError) -> "RequestRefused":
        """The refusal an ApiError stands for."""
        return cls(
            [format_refusal(error, TopLevelCode.BAD_REQUEST)],
            status=HTTP_STATUS.get(error.code, 400),
            retry_after=error.retry_after,
        )

    @property
    def payload(self) -> Payload:
        """The response's body."""
        return {"errors": self.errors}

    def again(self) -> "RequestRefused":
        """A fresh copy to raise: a kept exception would gather the traceback of every raise."""
        return RequestRefused(
            self.errors, status=self.status, document=self.document, retry_after=self.retry_after
        )

    @classmethod
    def of_document(cls, errors: list[GraphQLError], code: TopLevelCode) -> "RequestRefused":
        """The refusal of a document or of its variables."""
        return cls([format_refusal(error, code) for error in errors], status=400, document=True)
