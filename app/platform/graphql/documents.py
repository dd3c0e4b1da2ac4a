"""Documents: parsed, limited and validated once, and kept by their text. Nothing is executed here."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal, TypeAlias

from graphql import (
    ASTValidationRule,
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    parse,
    specified_rules,
    validate,
)
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule

from app.platform.graphql.context import TransportOptions
from app.platform.graphql.cost import CostModel, Formula
from app.platform.graphql.limits import check_limits, limit_error, root_fields
from app.platform.graphql.refusals import RequestRefused
from app.platform.graphql.top_level import ApiError, TopLevelCode

#: One tuple for the process: a rule class made per request would defeat any cache.
_RULES: tuple[type[ASTValidationRule], ...] = (
    *specified_rules,
    MaybeNullValidationRule,
    OneOfInputValidationRule,
)

#: Characters of source text kept in one cache: the parsed trees are some fifty times larger.
_CACHED_CHARACTERS = 2_000_000

OperationKind: TypeAlias = Literal["query", "mutation", "subscription"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationInfo:
    """What is known of an operation before it runs."""

    kind: OperationKind
    name: str | None
    #: Field names of the root selection, in no particular order, `__typename` among them.
    root_fields: tuple[str, ...]
    #: See `cost.py`.
    cost: int


@dataclass(frozen=True, slots=True)
class PreparedOperation:
    """One operation of a kept document."""

    info: OperationInfo
    formula: Formula


@dataclass(frozen=True, slots=True)
class Document:
    """A kept document: its tree and its operations by name, or the refusal it always gets."""

    tree: DocumentNode | None
    operations: dict[str | None, PreparedOperation]
    refusal: RequestRefused | None = None

    def choose(self, name: str | None) -> PreparedOperation:
        """The operation of this name, or the only one. Raises RequestRefused."""
        if name:
            chosen = self.operations.get(name)
            problem = f"Unknown operation named '{name}'."
        else:
            chosen = next(iter(self.operations.values())) if len(self.operations) == 1 else None
            problem = "Must provide operation name if query contains multiple operations."
        if not self.operations:
            problem = "Must provide an operation."
        if chosen is None:
            raise RequestRefused.of_document([GraphQLError(problem)], TopLevelCode.INVALID_DOCUMENT)
        return chosen


class _Cache:
    """Least recently used documents by text, bounded by number and by characters."""

    def __init__(self, documents: int, characters: int) -> None:
        self._documents = documents
        self._characters = characters
        self._held = 0
        self._kept: OrderedDict[str, Document] = OrderedDict()

    def get(self, text: str) -> Document | None:
        found = self._kept.get(text)
        if found is not None:
            self._kept.move_to_end(text)
        return found

    def put(self, text: str, document: Document) -> None:
        if text not in self._kept:
            self._held += len(text)
        self._kept[text] = document
        while len(self._kept) > self._documents or self._held > self._characters:
            dropped, _ = self._kept.popitem(last=False)
            self._held -= len(dropped)

    def __len__(self) -> int:
        return len(self._kept)


class Documents:
    """The documents of one schema, by text. Not for several threads."""

    def __init__(self, schema: GraphQLSchema, options: TransportOptions) -> None:
        self._schema = schema
        self._options = options
        self._good = _Cache(options.cached_documents, _CACHED_CHARACTERS)
        # Apart, so that a flood of bad documents does not push out the good ones.
        self._bad = _Cache(128, _CACHED_CHARACTERS // 8)

    def known(self, text: str) -> Document | None:
        """The kept document of this text, good or bad, or None when it was not read yet."""
        return self._good.get(text) or self._bad.get(text)

    def read(self, text: str) -> Document:
        """Reads a new document: milliseconds of parsing and validation. Keeps it, good or bad, unless it is too long."""
        if len(text) > self._options.max_document_characters:
            most = self._options.max_document_characters
            error = limit_error(TopLevelCode.LIMIT_BODY, "Characters of a document", len(text), most)
            return Document(None, {}, RequestRefused.of(error))
        document = self._read(text)
        (self._good if document.refusal is None else self._bad).put(text, document)
        return document

    def _read(self, text: str) -> Document:
        options = self._options
        try:
            tree = parse(text, max_lexical_tokens=options.max_tokens, max_comments=options.max_tokens)
            check_limits(tree, options)
            errors = validate(self._schema, tree, _RULES, max_errors=20)
        except ApiError as error:
            return Document(None, {}, RequestRefused.of(error))
        except GraphQLError as error:
            return Document(None, {}, _syntax_refusal(error, options.max_tokens))
        if errors:
            return Document(None, {}, RequestRefused.of_document(errors, TopLevelCode.INVALID_DOCUMENT))
        return Document(tree, self._prepare(tree))

    def _prepare(self, tree: DocumentNode) -> dict[str | None, PreparedOperation]:
        fragments = {
            node.name.value: node for node in tree.definitions if isinstance(node, FragmentDefinitionNode)
        }
        model = CostModel(self._schema, fragments)
        operations: dict[str | None, PreparedOperation] = {}
        for node in tree.definitions:
            if isinstance(node, OperationDefinitionNode):
                name = node.name.value if node.name else None
                roots = tuple(set(root_fields(node, fragments).values()))
                info = OperationInfo(kind=node.operation.value, name=name, root_fields=roots, cost=0)
                operations[name] = PreparedOperation(info, model.formula(node))
        return operations


def _syntax_refusal(error: GraphQLError, max_tokens: int) -> RequestRefused:
    # graphql-core has no class of its own for its token and comment limits.
    for unit in ("tokens", "comments"):
        if f"more than {max_tokens} {unit}" in error.message:
            what = f"{unit.capitalize()} of a document"
            return RequestRefused.of(limit_error(TopLevelCode.LIMIT_TOKENS, what, None, max_tokens))
    return RequestRefused.of_document([error], TopLevelCode.SYNTAX_ERROR)
