"""Top-level errors: bugs, authentication and limits, and what status a request refused by one has.

Apart from the types of the schema, so that processes without an API need not load what makes one. Look next:
`app.platform.graphql.errors` for refusals of mutations, `app.platform.graphql.masking`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from graphql import GraphQLError


class TopLevelCode(StrEnum):
    """`extensions.code` of top-level errors: bugs, authentication and limits."""

    BAD_REQUEST = "BAD_REQUEST"
    SYNTAX_ERROR = "SYNTAX_ERROR"
    INVALID_DOCUMENT = "INVALID_DOCUMENT"
    INVALID_VARIABLES = "INVALID_VARIABLES"
    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
    NOT_ACCEPTABLE = "NOT_ACCEPTABLE"
    UNSUPPORTED_MEDIA_TYPE = "UNSUPPORTED_MEDIA_TYPE"
    LIMIT_BODY = "LIMIT_BODY"
    LIMIT_TOKENS = "LIMIT_TOKENS"
    LIMIT_DEPTH = "LIMIT_DEPTH"
    LIMIT_ALIASES = "LIMIT_ALIASES"
    LIMIT_FIELDS = "LIMIT_FIELDS"
    LIMIT_ROOT_FIELDS = "LIMIT_ROOT_FIELDS"
    LIMIT_COST = "LIMIT_COST"
    LIMIT_SUBSCRIPTIONS = "LIMIT_SUBSCRIPTIONS"
    LIMIT_PICTURES = "LIMIT_PICTURES"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    FORBIDDEN = "FORBIDDEN"
    RATE_LIMITED = "RATE_LIMITED"
    SLOW_READER = "SLOW_READER"
    TRY_AGAIN = "TRY_AGAIN"
    INTERNAL = "INTERNAL"


#: HTTP status of a request refused with a code; every other code is 400.
HTTP_STATUS: dict[str, int] = {
    TopLevelCode.UNAUTHENTICATED: 401,
    TopLevelCode.FORBIDDEN: 403,
    TopLevelCode.METHOD_NOT_ALLOWED: 405,
    TopLevelCode.NOT_ACCEPTABLE: 406,
    TopLevelCode.LIMIT_BODY: 413,
    TopLevelCode.UNSUPPORTED_MEDIA_TYPE: 415,
    TopLevelCode.RATE_LIMITED: 429,
    TopLevelCode.TRY_AGAIN: 429,
    TopLevelCode.INTERNAL: 500,
}


class ApiError(GraphQLError):
    """A top-level error raised on purpose: its message and code reach the client unmasked.

    `retry_after` is in seconds and becomes `extensions.retryAfter` and, when the whole request is
    refused over HTTP, the `Retry-After` header.
    """

    def __init__(
        self,
        message: str,
        code: TopLevelCode | str = TopLevelCode.BAD_REQUEST,
        *,
        retry_after: float | None = None,
        details: dict[str, Any] | None = None,
    ) -> None:
        extensions: dict[str, Any] = {"code": str(code), **(details or {})}
        if retry_after is not None:
            extensions["retryAfter"] = retry_after
        super().__init__(message, extensions=extensions)

    @property
    def code(self) -> str:
        """The code clients switch on."""
        return str((self.extensions or {})["code"])

    @property
    def retry_after(self) -> float | None:
        """Seconds to wait before the next attempt, or None."""
        seconds = (self.extensions or {}).get("retryAfter")
        return None if seconds is None else float(seconds)
