"""What the three wires share: JSON both ways, Accept negotiation, headers. No execution here."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import msgspec

from app.platform.graphql.execution import GraphQLRequest
from app.platform.graphql.refusals import RequestRefused
from app.platform.graphql.top_level import ApiError, TopLevelCode

JSON_TYPE = "application/json"
RESPONSE_TYPE = "application/graphql-response+json"
EVENTS_TYPE = "text/event-stream"
HTML_TYPE = "text/html"

HeaderList: TypeAlias = list[tuple[bytes, bytes]]

#: what msgspec raises for bytes that are no JSON, no UTF-8, or nested too deep
UNREADABLE = (msgspec.DecodeError, UnicodeError, RecursionError)

_request_decoder = msgspec.json.Decoder(GraphQLRequest)
_variables_decoder = msgspec.json.Decoder(dict[str, Any] | None)

#: Any page may call: the API knows no cookies, so a foreign origin gains nothing.
CORS: HeaderList = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"retry-after, x-request-id"),
]
PREFLIGHT: HeaderList = [
    *CORS,
    (b"access-control-allow-methods", b"GET, POST, OPTIONS"),
    (b"access-control-allow-headers", b"apikey, authorization, content-type, client-agent, accept"),
    (b"access-control-max-age", b"86400"),
]


def decode_request(body: bytes | str) -> GraphQLRequest:
    """The parameters in a JSON body. Raises RequestRefused BAD_REQUEST."""
    try:
        return _request_decoder.decode(body)
    except UNREADABLE as error:
        start = body[:64].lstrip()
        if start[:1] in (b"[", "["):
            raise refused("Batched requests are not supported: send one operation per request.") from None
        # msgspec names the place and the expected type, never the value.
        raise refused(f"The request is not valid: {error}.") from None


def decode_parameters(parameters: dict[str, str]) -> GraphQLRequest:
    """The parameters in a query string. Raises RequestRefused BAD_REQUEST."""
    query = parameters.get("query")
    if not query:
        raise refused("The parameter `query` is missing.")
    try:
        return GraphQLRequest(
            query=query,
            operationName=parameters.get("operationName") or None,
            variables=_variables_decoder.decode(parameters.get("variables") or "null"),
            extensions=_variables_decoder.decode(parameters.get("extensions") or "null"),
        )
    except UNREADABLE as error:
        raise refused(f"`variables` and `extensions` must be JSON objects: {error}.") from None


def refused(message: str, code: TopLevelCode = TopLevelCode.BAD_REQUEST) -> RequestRefused:
    """A refusal with one error."""
    return RequestRefused.of(ApiError(message, code))


@dataclass(frozen=True, slots=True)
class Accepted:
    """What an Accept header takes: the JSON type to use, and whether other answers are welcome."""

    #: None when no JSON type is accepted.
    json_type: str | None
    events: bool
    #: The event stream is wanted before any JSON.
    events_first: bool
    #: A page is wanted before any JSON: a browser's address bar.
    html_first: bool


@lru_cache(maxsize=256)
def accepted(header: str) -> Accepted:
    """Reads an Accept header. Missing and `*/*` mean `application/json`; ties go by order."""
    # (quality, earliness) of the best range of each kind: the larger tuple wins.
    best: dict[str, tuple[float, int]] = {}
    for place, (media, quality) in enumerate(_ranges(header or "*/*")):
        kind = JSON_TYPE if media in ("*/*", "application/*") else media
        best[kind] = max(best.get(kind, (0.0, 0)), (quality, -place))
    nothing = (0.0, 0)
    plain, response = best.get(JSON_TYPE, nothing), best.get(RESPONSE_TYPE, nothing)
    events, html = best.get(EVENTS_TYPE, nothing), best.get(HTML_TYPE, nothing)
    json = max(plain, response)
    return Accepted(
        json_type=None if json == nothing else RESPONSE_TYPE if response > plain else JSON_TYPE,
        events=events > nothing,
        events_first=events > max(json, html),
        html_first=html > max(json, events),
    )


def _ranges(header: str) -> list[tuple[str, float]]:
    ranges = []
    for part in header.split(","):
        media, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    quality = float(parameter[2:])
                except ValueError:
                    quality = 0.0
        if media and quality > 0:
            ranges.append((media, quality))
    return ranges


@lru_cache(maxsize=64)
def is_json(content_type: str) -> bool:
    """Whether a Content-Type header says JSON in UTF-8."""
    media, *parameters = (piece.strip().lower() for piece in content_type.split(";"))
    charsets = [piece.partition("=")[2].strip('"') for piece in parameters if piece.startswith("charset=")]
    return media == JSON_TYPE and all(charset in ("utf-8", "utf8") for charset in charsets)
