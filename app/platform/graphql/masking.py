"""What a client may learn of an exception, and what the log may hold of it.

Errors raised on purpose (`ApiError`) and those that blame the request pass; anything else becomes
"Internal error" with a random id, and is logged under that id. The log gets the exception's class and
the places it came through, never its message: messages quote prompts, keys and rows.
"""

import logging
import traceback
from collections.abc import Iterable
from typing import Any
from uuid import uuid4

from graphql import GraphQLError
from strawberry.exceptions import StrawberryInputCoercionError

from app.platform.graphql.top_level import ApiError, TopLevelCode

_log = logging.getLogger("hoard.graphql")

#: graphql-core raises here when a request's arguments cannot be read.
_ARGUMENTS_MODULE = "graphql.execution.values"


def format_errors(errors: Iterable[GraphQLError], request_id: str) -> list[dict[str, Any]]:
    """Execution errors as the response shows them, masked; the masked ones are logged."""
    return [_format(error, request_id) for error in errors]


def format_refusal(error: GraphQLError, code: TopLevelCode) -> dict[str, Any]:
    """An error of the request itself, never masked, with a code of its own or this one."""
    shown: dict[str, Any] = dict(error.formatted)
    shown["extensions"] = {"code": str(code), **(error.extensions or {})}
    return shown


def internal_error(raised: BaseException, request_id: str) -> ApiError:
    """Logs an unexpected exception and returns what the client may see of it."""
    error_id = uuid4().hex
    _log.error(
        "internal_error",
        extra={"error_id": error_id, "request_id": request_id, "trace": describe(raised)},
    )
    return ApiError("Internal error", TopLevelCode.INTERNAL, details={"id": error_id})


def describe(raised: BaseException) -> str:
    """Classes and places of an exception and its causes, without any message."""
    chain: list[str] = []
    seen: set[int] = set()
    current: BaseException | None = raised
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        # The SQLSTATE tells database faults apart and quotes nothing.
        state = getattr(current, "sqlstate", None)
        frames = traceback.extract_tb(current.__traceback__)
        places = [f"  {frame.filename}:{frame.lineno} in {frame.name}" for frame in frames]
        name = f"{type(current).__module__}.{type(current).__qualname__}"
        chain.append("\n".join([f"{name} {state}" if state else name, *places]))
        current = current.__cause__ or current.__context__
    return "\ncaused by ".join(chain)


def _format(error: GraphQLError, request_id: str) -> dict[str, Any]:
    raised = _raised(error)
    if isinstance(raised, ApiError):
        return format_refusal(error, TopLevelCode.BAD_REQUEST)
    if _blames_the_request(raised):
        return format_refusal(error, TopLevelCode.INVALID_ARGUMENT)
    shown: dict[str, Any] = dict(error.formatted)
    masked = internal_error(raised, request_id)
    shown["message"] = masked.message
    shown["extensions"] = masked.extensions
    return shown


def _raised(error: GraphQLError) -> BaseException:
    """The exception as the resolver raised it, beneath graphql-core's wrapping."""
    raised: BaseException = error
    while isinstance(raised, GraphQLError) and not isinstance(raised, ApiError):
        if raised.original_error is None:
            break
        raised = raised.original_error
    return raised


def _blames_the_request(raised: BaseException) -> bool:
    """Whether graphql-core or strawberry raised this while reading arguments.

    graphql-core's other errors during execution (a value that does not serialize, a type that does
    not resolve) quote the server's values and are bugs.
    """
    if isinstance(raised, StrawberryInputCoercionError):
        return True
    if not isinstance(raised, GraphQLError) or raised.__traceback__ is None:
        return False
    last = raised.__traceback__
    while last.tb_next is not None:
        last = last.tb_next
    return last.tb_frame.f_globals.get("__name__") == _ARGUMENTS_MODULE
