"""Static cost of an operation: about how many objects its answer may hold at most.

A field with a selection costs 1, a leaf a tenth, a mutation's root field 10, `__schema` 1,000 and
`__type` 100. What stands below a list counts once per element: as many as the nearest `first` or
`last` says (on the list or on the connection around it), else an assumed number. Fragments and
branches add up, `@skip` and `@include` are not looked at: an upper bound. Computed once per document
into a small formula; where a variable decides a size, the formula is evaluated with the variables.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLArgument,
    GraphQLCompositeType,
    GraphQLField,
    GraphQLOutputType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    VariableNode,
    get_named_type,
    is_composite_type,
    is_list_type,
    is_non_null_type,
)

_TENTHS = 10
_LEAF = 1
_COMPOSITE = 1 * _TENTHS
_MUTATION = 10 * _TENTHS
_INTROSPECTION = {"__schema": 1_000 * _TENTHS, "__type": 100 * _TENTHS}
#: Elements assumed of a list whose size nothing in the document says.
_ASSUMED_SIZE = 10
_PAGE_ARGUMENTS = ("first", "last")


@dataclass(frozen=True, slots=True)
class Size:
    """The size of a list: a variable's value if it is given, else a number."""

    fallback: int
    variable: str | None = None

    def value(self, variables: Mapping[str, Any]) -> int:
        """The number of elements under these coerced variables."""
        given = variables.get(self.variable) if self.variable else None
        return max(given, 0) if isinstance(given, int) else self.fallback


@dataclass(frozen=True, slots=True)
class Formula:
    """A cost in tenths: a fixed part and parts multiplied by a size."""

    fixed: int
    scaled: tuple[tuple[Size, "Formula"], ...] = ()

    def evaluate(self, variables: Mapping[str, Any]) -> int:
        """The cost in tenths under these coerced variables."""
        return self.fixed + sum(
            size.value(variables) * part.evaluate(variables) for size, part in self.scaled
        )

    def cost(self, variables: Mapping[str, Any]) -> int:
        """The cost in whole units, rounded up."""
        return -(-self.evaluate(variables) // _TENTHS)

    def times(self, sizes: tuple[Size, ...]) -> "Formula":
        """This, once per element of all the sizes; folded at once when no variable decides."""
        if len(sizes) == 1 and sizes[0].variable is None and not self.scaled:
            return Formula(sizes[0].fallback * self.fixed)
        return Formula(0, tuple((size, self) for size in sizes))


def _sum(parts: list[Formula]) -> Formula:
    return Formula(
        sum(part.fixed for part in parts), tuple(scaled for part in parts for scaled in part.scaled)
    )


class CostModel:
    """Makes formulas for the operations of one validated document."""

    def __init__(self, schema: GraphQLSchema, fragments: Mapping[str, FragmentDefinitionNode]) -> None:
        self._schema = schema
        self._fragments = fragments
        self._known: dict[tuple[str, tuple[Size, ...]], Formula] = {}

    def formula(self, operation: OperationDefinitionNode) -> Formula:
        """The cost of an operation. The document must be valid: fragments known and without cycles."""
        root = self._schema.get_root_type(operation.operation)
        assert root is not None, "validation refuses operations without a root type"
        formula = self._selections(operation.selection_set, root, ())
        if operation.operation is not OperationType.MUTATION:
            return formula
        return _sum([formula, Formula(_MUTATION * len(operation.selection_set.selections))])

    def _selections(
        self, selections: SelectionSetNode, parent: GraphQLCompositeType, page: tuple[Size, ...]
    ) -> Formula:
        parts = []
        for node in selections.selections:
            if isinstance(node, FieldNode):
                parts.append(self._field(node, parent, page))
            elif isinstance(node, FragmentSpreadNode):
                parts.append(self._fragment(node.name.value, page))
            elif isinstance(node, InlineFragmentNode):
                condition = node.type_condition
                inner = self._composite(condition.name.value) if condition else parent
                parts.append(self._selections(node.selection_set, inner, page))
        return _sum(parts)

    def _fragment(self, name: str, page: tuple[Size, ...]) -> Formula:
        if (name, page) not in self._known:
            fragment = self._fragments[name]
            inner = self._composite(fragment.type_condition.name.value)
            self._known[name, page] = self._selections(fragment.selection_set, inner, page)
        return self._known[name, page]

    def _field(self, node: FieldNode, parent: GraphQLCompositeType, page: tuple[Size, ...]) -> Formula:
        name = node.name.value
        if name in _INTROSPECTION:
            return Formula(_INTROSPECTION[name])
        field = self._schema.get_field(parent, name)
        if field is None or node.selection_set is None:
            return Formula(_LEAF)
        inner = get_named_type(field.type)
        assert is_composite_type(inner), "validation refuses selections on leaves"
        own = _page(node, field)
        if not _is_list(field.type):
            below = self._selections(node.selection_set, inner, own)
            return Formula(_COMPOSITE + below.fixed, below.scaled)
        below = self._selections(node.selection_set, inner, ())
        element = Formula(_COMPOSITE + below.fixed, below.scaled)
        return element.times(own or page or (Size(_ASSUMED_SIZE),))

    def _composite(self, name: str) -> GraphQLCompositeType:
        found = self._schema.get_type(name)
        assert is_composite_type(found), "validation refuses fragments on other types"
        return found


def _is_list(type_: GraphQLOutputType) -> bool:
    return is_list_type(type_.of_type if is_non_null_type(type_) else type_)


def _page(node: FieldNode, field: GraphQLField) -> tuple[Size, ...]:
    """Sizes that `first` and `last` of a field give; empty when it has neither argument."""
    defined = {name: field.args[name] for name in _PAGE_ARGUMENTS if name in field.args}
    sizes = []
    for argument in node.arguments or ():
        definition = defined.get(argument.name.value)
        if definition is None:
            continue
        if isinstance(argument.value, IntValueNode):
            sizes.append(Size(max(int(argument.value.value), 0)))
        elif isinstance(argument.value, VariableNode):
            sizes.append(Size(_default(definition), argument.value.name.value))
    if not sizes and defined:
        sizes.append(Size(max(_default(definition) for definition in defined.values())))
    return tuple(sizes)


def _default(argument: GraphQLArgument) -> int:
    value = argument.default_value
    return value if isinstance(value, int) else _ASSUMED_SIZE
