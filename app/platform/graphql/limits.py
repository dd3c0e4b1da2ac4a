"""Syntactic limits of a document: depth, aliases, fields, root fields. Computed once, before validation.

Before, because validation itself is what a hostile document makes expensive; therefore fragments may
still be unknown or cyclic here. Cost needs types and follows validation: `cost.py`.
"""

from collections import Counter
from collections.abc import Iterator

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    OperationDefinitionNode,
    SelectionSetNode,
)

from app.platform.graphql.context import TransportOptions
from app.platform.graphql.top_level import ApiError, TopLevelCode

#: Beneath these depth is not counted: the standard introspection query is 15 and more levels deep,
#: and graphql-core has a validation rule of its own against deep introspection.
INTROSPECTION = frozenset({"__schema", "__type"})


def limit_error(code: TopLevelCode, what: str, value: int | None, limit: int) -> ApiError:
    """The error for a passed limit: names the limit and, when it is known, the value."""
    found = "" if value is None else f", this has {value}"
    details: dict[str, int] = {"limit": limit} if value is None else {"limit": limit, "value": value}
    return ApiError(f"{what} may be at most {limit}{found}.", code, details=details)


def check_limits(document: DocumentNode, options: TransportOptions) -> None:
    """Raises ApiError LIMIT_ALIASES, LIMIT_FIELDS, LIMIT_DEPTH or LIMIT_ROOT_FIELDS."""
    _check_size(document, options)
    aliases = sum(1 for node in _fields(document) if node.alias)
    if aliases > options.max_aliases:
        raise limit_error(TopLevelCode.LIMIT_ALIASES, "Aliases in a document", aliases, options.max_aliases)
    fragments = {
        node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
    }
    depths: dict[str, int] = {}
    for node in document.definitions:
        if not isinstance(node, OperationDefinitionNode):
            continue
        try:
            depth = _depth(node.selection_set, fragments, depths)
        except RecursionError:
            depth = None
        if depth is None or depth > options.max_depth:
            raise limit_error(TopLevelCode.LIMIT_DEPTH, "Depth of an operation", depth, options.max_depth)
        roots = len(root_fields(node, fragments))
        if roots > options.max_root_fields:
            raise limit_error(
                TopLevelCode.LIMIT_ROOT_FIELDS, "Root fields of an operation", roots, options.max_root_fields
            )


def _check_size(document: DocumentNode, options: TransportOptions) -> None:
    """Validation compares fields that answer under the same key with each other: their number must stay small."""
    sets = list(_selection_sets(document))
    fields = sum(isinstance(node, FieldNode) for each in sets for node in each.selections)
    if fields > options.max_fields:
        raise limit_error(TopLevelCode.LIMIT_FIELDS, "Fields in a document", fields, options.max_fields)
    spreads = sum(isinstance(node, FragmentSpreadNode) for each in sets for node in each.selections)
    if spreads > options.max_spreads:
        raise limit_error(
            TopLevelCode.LIMIT_FIELDS, "Fragment spreads in a document", spreads, options.max_spreads
        )
    for each in sets:
        keys = Counter((n.alias or n.name).value for n in each.selections if isinstance(n, FieldNode))
        repeats = max(keys.values(), default=0)
        if repeats > options.max_repeats:
            raise limit_error(TopLevelCode.LIMIT_FIELDS, "Repeats of a field", repeats, options.max_repeats)


def root_fields(
    operation: OperationDefinitionNode, fragments: dict[str, FragmentDefinitionNode]
) -> dict[str, str]:
    """Field name by response key of the root selection, fragments followed."""
    found: dict[str, str] = {}
    seen: set[str] = set()
    stack = [operation.selection_set]
    while stack:
        for node in stack.pop().selections:
            if isinstance(node, FieldNode):
                found[(node.alias or node.name).value] = node.name.value
            elif isinstance(node, FragmentSpreadNode):
                name = node.name.value
                if name in fragments and name not in seen:
                    seen.add(name)
                    stack.append(fragments[name].selection_set)
            else:
                stack.append(node.selection_set)  # type: ignore[attr-defined]
    return found


def _fields(document: DocumentNode) -> Iterator[FieldNode]:
    for each in _selection_sets(document):
        for node in each.selections:
            if isinstance(node, FieldNode):
                yield node


def _selection_sets(document: DocumentNode) -> Iterator[SelectionSetNode]:
    stack: list[SelectionSetNode] = [
        node.selection_set
        for node in document.definitions
        if isinstance(node, OperationDefinitionNode | FragmentDefinitionNode)
    ]
    while stack:
        each = stack.pop()
        yield each
        for node in each.selections:
            nested = getattr(node, "selection_set", None)
            if nested is not None:
                stack.append(nested)


def _depth(
    selections: SelectionSetNode, fragments: dict[str, FragmentDefinitionNode], known: dict[str, int]
) -> int:
    deepest = 0
    for node in selections.selections:
        if isinstance(node, FieldNode):
            nested = node.selection_set
            if nested is None or node.name.value in INTROSPECTION:
                deepest = max(deepest, 1)
            else:
                deepest = max(deepest, 1 + _depth(nested, fragments, known))
        elif isinstance(node, FragmentSpreadNode):
            name = node.name.value
            if name not in known:
                # A spread inside itself adds nothing here; validation refuses the cycle afterwards.
                known[name] = 0
                fragment = fragments.get(name)
                known[name] = _depth(fragment.selection_set, fragments, known) if fragment else 0
            deepest = max(deepest, known[name])
        else:
            deepest = max(deepest, _depth(node.selection_set, fragments, known))  # type: ignore[attr-defined]
    return deepest
