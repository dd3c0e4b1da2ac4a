"""From a request's text to a response's payload, without strawberry's runner but with its resolvers.

A document is parsed, limited and validated once and kept; an operation is admitted (chosen, its
variables coerced, its cost and its caller checked) and then run by graphql-core's executor. It knows no
wire: `http.py`, `sse.py` and `websocket.py` call `admit`, then `execute` or `stream`.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeAlias, cast

import msgspec
import strawberry
from graphql import (
    ExecutionResult,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLField,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLResolveInfo,
    GraphQLSchema,
    OperationDefinitionNode,
    get_named_type,
)
from graphql.execution import (
    Executor,
    create_source_event_stream,
    execute_subscription_event,
)
from graphql.execution.collect_fields import FieldDetails, collect_fields
from graphql.pyutils import Path
from strawberry.execution import optimized_is_awaitable

from app.platform.graphql.context import RequestContext, TransportOptions
from app.platform.graphql.conversion import compile_inputs
from app.platform.graphql.documents import (
    Document,
    Documents,
    OperationInfo,
    OperationKind,
    PreparedOperation,
)
from app.platform.graphql.limits import limit_error
from app.platform.graphql.masking import format_errors, format_refusal, internal_error
from app.platform.graphql.measures import answered, failed, root_field, subscribed
from app.platform.graphql.refusals import RequestRefused
from app.platform.graphql.rendering import Chosen, Payload, Rendered, data_of, encode, encode_text
from app.platform.graphql.schema_tools import core_schema
from app.platform.graphql.top_level import ApiError, TopLevelCode


class GraphQLRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of a request, as GraphQL over HTTP names them."""

    query: str
    operationName: str | None = None  # noqa: N815
    variables: dict[str, Any] | None = None
    extensions: dict[str, Any] | None = None


#: Called before a document not seen before is parsed and validated, which a hostile client can make cost
#: a quarter of a second: a place to limit such documents per address. Raises ApiError to refuse.
BeforeDocument: TypeAlias = Callable[[RequestContext], Awaitable[None]]

#: Authenticates and rate-limits; raises ApiError to refuse, may set `context.viewer`.
BeforeOperation: TypeAlias = Callable[[RequestContext, OperationInfo], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Operation:
    """An admitted operation, ready to run once."""

    info: OperationInfo
    executor: "_Executor"
    context: RequestContext
    #: when its document was read, by `time.perf_counter`
    began: float


class _ResolveInfo(NamedTuple):
    """graphql-core's resolve info plus the member that strawberry's `Info.input_extensions` reads.

    `variable_values` is the plain dict strawberry expects.
    """

    field_name: str
    field_nodes: list[FieldNode]
    return_type: GraphQLOutputType
    parent_type: GraphQLObjectType
    path: Path
    schema: GraphQLSchema
    fragments: dict[str, FragmentDefinitionNode]
    root_value: Any
    operation: OperationDefinitionNode
    variable_values: dict[str, Any]
    context: Any
    is_awaitable: Callable[[Any], bool]
    abort_signal: Any
    async_helpers: Any
    operation_extensions: dict[str, Any] | None


class _Executor(Executor[Any]):
    """graphql-core's plain executor (no incremental delivery), with strawberry's resolve info."""

    operation_extensions: dict[str, Any] | None = None

    def build_resolve_info(
        self,
        field_def: GraphQLField,
        field_nodes: list[FieldNode],
        parent_type: GraphQLObjectType,
        path: Path,
    ) -> "GraphQLResolveInfo[Any]":
        """The `info` of one field's resolver."""
        info = _ResolveInfo(
            field_nodes[0].name.value,
            field_nodes,
            field_def.type,
            parent_type,
            path,
            self.schema,
            self.fragment_definitions,
            self.root_value,
            self.operation,
            self.variable_values.coerced,
            self.context_value,
            self.is_awaitable,
            self.abort_signal,
            self.async_helpers,
            self.operation_extensions,
        )
        return cast("GraphQLResolveInfo[Any]", info)


class Engine:
    """Admits and runs operations of one schema. One per process; not for several threads."""

    def __init__(
        self,
        schema: strawberry.Schema,
        *,
        before_operation: BeforeOperation,
        before_document: BeforeDocument | None = None,
        options: TransportOptions | None = None,
    ) -> None:
        """Raises ValueError for a schema that relies on strawberry's own runner."""
        if schema.extensions or schema.directives:
            raise ValueError("schema extensions and operation directives are not run by this transport")
        self.options = options or TransportOptions()
        compile_inputs(schema)
        self._schema = core_schema(schema)
        self._before_operation = before_operation
        self._before_document = before_document
        self._documents = Documents(self._schema, self.options)
        # The loop holds its tasks weakly.
        self._mutations: set[asyncio.Task[Payload]] = set()

    async def admit(
        self,
        request: GraphQLRequest,
        context: RequestContext,
        allowed: frozenset[OperationKind] | None = None,
    ) -> Operation:
        """An operation that may run: document, kind, variables, cost and caller are checked, in this order.

        Raises RequestRefused, and nothing else.
        """
        began = time.perf_counter()
        field = ""
        try:
            document = await self._document(request.query, context)
            prepared = document.choose(request.operationName)
            field = root_field(prepared.info)
            if allowed is not None and prepared.info.kind not in allowed:
                raise ApiError(
                    f"A {prepared.info.kind} is not possible by GET.", TopLevelCode.METHOD_NOT_ALLOWED
                )
            executor = self._executor(document, request, context)
            info = self._within_cost(prepared, executor.variable_values.coerced)
            await self._before_operation(context, info)
        except RequestRefused as refusal:
            failed(field, refusal.errors)
            raise
        except ApiError as error:
            raise _refused(field, error) from None
        except Exception as error:
            raise _refused(field, internal_error(error, context.request_id)) from error
        return Operation(info, executor, context, began)

    async def execute(self, operation: Operation) -> Payload:
        """Runs a query or mutation to its payload; errors of resolvers are in it, masked."""
        payload = await self._executed(operation)
        answered(operation.info, time.perf_counter() - operation.began, payload)
        return payload

    async def _executed(self, operation: Operation) -> Payload:
        try:
            result = operation.executor.execute_operation()
            if operation.executor.is_awaitable(result):
                result = await result
        except Exception as error:  # noqa: BLE001  (masked and logged)
            # graphql-core collects what resolvers raise; what comes here is a fault of the machinery.
            refused = internal_error(error, operation.context.request_id)
            return {"errors": [format_refusal(refused, TopLevelCode.INTERNAL)], "data": None}
        return _payload(cast("ExecutionResult", result), operation.context.request_id)

    async def stream(self, operation: Operation) -> AsyncGenerator[bytes, None]:
        """The encoded payloads of any operation: one of a query or mutation, many of a subscription.

        Closing the generator closes the subscription's source. A source that raises ends the stream
        with one payload of errors.
        """
        if operation.info.kind != "subscription":
            yield encode(await self._whole(operation))
            return
        executor, request_id = operation.executor, operation.context.request_id
        field = root_field(operation.info)
        with subscribed(operation.info):
            try:
                source = create_source_event_stream(executor)
                if executor.is_awaitable(source):
                    source = await source
                if isinstance(source, ExecutionResult):
                    yield _failure(field, format_errors(source.errors or (), request_id))
                    return
                root: Chosen | None = None
                async with aclosing(cast("AsyncGenerator[Any, None]", source)) as items:
                    async for item in items:
                        if isinstance(item, Rendered):
                            root = root or _chosen_root(executor)
                            yield data_of(root, item)
                        else:
                            yield encode(_payload(await _execute_event(executor, item), request_id))
            except ApiError as error:
                yield _failure(field, [format_refusal(error, TopLevelCode.BAD_REQUEST)])
            except Exception as error:  # noqa: BLE001  (masked and logged)
                refused = internal_error(error, request_id)
                yield _failure(field, [format_refusal(refused, TopLevelCode.INTERNAL)])

    async def _whole(self, operation: Operation) -> Payload:
        if operation.info.kind == "query":
            return await self.execute(operation)
        # A client that leaves ends its subscriptions and queries, but no mutation half-way.
        task = asyncio.ensure_future(self.execute(operation))
        self._mutations.add(task)
        task.add_done_callback(self._mutations.discard)
        return await asyncio.shield(task)

    async def _document(self, text: str, context: RequestContext) -> Document:
        document = self._documents.known(text)
        if document is None:
            if self._before_document is not None:
                await self._before_document(context)
            document = self._documents.read(text)
        if document.refusal is not None:
            raise document.refusal.again()
        return document

    def _executor(self, document: Document, request: GraphQLRequest, context: RequestContext) -> _Executor:
        assert document.tree is not None, "documents without a tree are refused before"
        built = _Executor.build(
            self._schema,
            document.tree,
            context_value=context,
            raw_variable_values=request.variables,
            operation_name=request.operationName or None,
            is_awaitable=optimized_is_awaitable,  # type: ignore[arg-type]
        )
        if isinstance(built, list):
            raise RequestRefused.of_document(built, TopLevelCode.INVALID_VARIABLES)
        executor = cast("_Executor", built)
        executor.operation_extensions = request.extensions
        return executor

    def _within_cost(self, prepared: PreparedOperation, variables: dict[str, Any]) -> OperationInfo:
        cost = prepared.formula.cost(variables)
        if cost > self.options.max_cost:
            raise limit_error(TopLevelCode.LIMIT_COST, "Cost of an operation", cost, self.options.max_cost)
        return replace(prepared.info, cost=cost)


def _refused(field: str, error: ApiError) -> RequestRefused:
    refusal = RequestRefused.of(error)
    failed(field, refusal.errors)
    return refusal


def _failure(field: str, errors: list[dict[str, Any]]) -> bytes:
    """The payload with which a subscription ends."""
    failed(field, errors)
    return encode({"errors": errors})


async def _execute_event(executor: _Executor, item: Any) -> ExecutionResult:
    executor = cast("_Executor", executor.build_per_event_executor(item))
    executor.context_value = executor.context_value.for_event()
    result = execute_subscription_event(executor)
    return await result if executor.is_awaitable(result) else cast("ExecutionResult", result)


def _chosen_root(executor: _Executor) -> Chosen:
    """The only root field of a subscription, with all that is chosen below it."""
    root_type = executor.schema.subscription_type
    assert root_type is not None, "validation refuses operations without a root type"
    collected = collect_fields(
        executor.schema, executor.fragments, executor.variable_values, root_type, executor.operation
    )
    ((key, details),) = collected.grouped_field_set.items()
    return _chosen(executor, root_type, key, details)


def _chosen(executor: _Executor, parent: GraphQLObjectType, key: str, details: list[FieldDetails]) -> Chosen:
    name = details[0].node.name.value
    field = executor.schema.get_field(parent, name)
    inner = get_named_type(field.type) if field else None
    below: tuple[Chosen, ...] = ()
    if isinstance(inner, GraphQLObjectType):
        fields = executor.collect_subfields(inner, details).grouped_field_set
        below = tuple(_chosen(executor, inner, each, nodes) for each, nodes in fields.items())
    return Chosen(encode_text(key) + b":", name, below)


def _payload(result: ExecutionResult, request_id: str) -> Payload:
    if not result.errors:
        return {"data": result.data}
    return {"errors": format_errors(result.errors, request_id), "data": result.data}
