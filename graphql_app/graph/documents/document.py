"""Documents, parsed and validated once each."""

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import Any, NamedTuple, TypeAlias

from cachetools import LRUCache
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    Source,
    VariableNode,
    Visitor,
    print_ast,
    validate,
    visit,
)
from graphql.language.parser import Parser

from graphql_app.domain.access import View
from graphql_app.domain.errors import InvalidInput, Refusal, TooMany
from graphql_app.graph.api.selection import Guarded, guarded_paths, root_fields
from graphql_app.graph.compile.counting import Counting
from graphql_app.graph.compile.executor import Plans
from graphql_app.graph.documents.limits import DocumentLimits, Measure, Measured
from graphql_app.graph.documents.validation import SpecifiedRules

BYTES_KEPT = 64 * 1024 * 1024
TOKEN_BYTES = 500  # what one takes once it is parsed, with its node and its place in the text; measured
LARGE_COST = 10_000  # values, made in 5 ms at a stretch; a floor that is five times as full as is taken for granted: 25
ERRORS_MOST = 5  # each of them prints the value that it is about: more would cost more than all the rest
LARGE_TOKENS = 500  # of a document with more only the first error is told: a single value may be nearly all of it


class Mistakes(Exception):
    """Everything that graphql-core finds wrong with what a client sent."""

    def __init__(self, errors: list[GraphQLError]) -> None:
        super().__init__(errors[0].message)
        self.errors = errors
        for error in errors:
            error.original_error = None  # whatever a value was to Python, it is the client's mistake


class InvalidDocument(Mistakes):
    """The document does not parse, or does not fit the schema."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a valid document."""

    document: DocumentNode
    node: OperationDefinitionNode
    kind: str  # query, mutation or subscription
    roots: frozenset[str]  # the fields of the root type that it asks for
    guarded: Guarded
    shared_text: str  # of a subscription: what is shown of each event
    shared_variables: frozenset[str]
    plans: Plans
    _masked: dict[View, list[str]] = field(default_factory=dict)

    @property
    def name(self) -> str | None:
        return self.node.name.value if self.node.name else None

    def masked(self, view: View) -> list[str]:
        """Returns the response paths that are null for the view because it may not see them."""
        masked = self._masked.get(view)
        if masked is None:
            masked = self._masked[view] = [path for path, scope in self.guarded if not view.has(scope)]
        return masked

    def shared_key(self, variables: Mapping[str, Any]) -> str:
        """Returns a key that is the same for all whose payloads are the same text, wherever they start."""
        given = sorted((name, repr(variables[name])) for name in self.shared_variables if name in variables)
        return f"{self.shared_text}\n{given}"


@dataclass(frozen=True, slots=True)
class Document:
    operations: Mapping[str | None, Operation]
    tokens: int

    def operation(self, name: str | None) -> Operation:
        """Returns the operation of that name. Raises InvalidInput when the name does not say which."""
        if name is not None:
            found = self.operations.get(name)
            if found is None:
                raise InvalidInput(f"The document has no operation named {name!r}.", field="operationName")
            return found
        if len(self.operations) != 1:
            raise InvalidInput(
                "The document has several operations: say which with `operationName`.", field="operationName"
            )
        return next(iter(self.operations.values()))


class Documents:
    """Keeps the documents used last, valid and invalid ones alike, so that neither costs twice.

    `suggests`: an error names what in the schema an unknown name comes close to.
    """

    def __init__(self, schema: GraphQLSchema, limits: DocumentLimits, *, kept: int, suggests: bool = True) -> None:
        self._schema = schema
        self._limits = limits
        self._measure = Measure(schema, limits)
        self._suggests = suggests
        # A parsed document takes a hundred times its text: both their number and their size are bounded.
        self._least_bytes = BYTES_KEPT // kept
        self._cached: LRUCache[str, _Cached] = LRUCache(BYTES_KEPT, getsizeof=itemgetter(1))

    def get(self, text: str) -> Document:
        """Returns the prepared document. Raises InvalidDocument, or a Refusal for one that is too large."""
        cached = self._cached.get(text)
        if cached is None:
            most = self._limits.bytes
            if (size := len(text)) > most or (size := len(text.encode(errors="replace"))) > most:
                raise TooMany(f"The document is larger than {most} bytes.", measure="bytes", limit=most, asked=size)
            outcome = self._prepare(text)
            size = min(max(_size(text, outcome), self._least_bytes), BYTES_KEPT)
            cached = self._cached[text] = _Cached(outcome, size)
        outcome = cached.outcome
        # A new one each time: a raised exception gathers tracebacks, and this one is kept.
        if isinstance(outcome, InvalidDocument):
            raise InvalidDocument(outcome.errors)
        if isinstance(outcome, Refusal):
            raise copy(outcome)
        return outcome

    def cached(self, text: str) -> Document | None:
        """Returns the document, if it was looked at before and is valid."""
        cached = self._cached.get(text)
        return cached.outcome if cached is not None and isinstance(cached.outcome, Document) else None

    def _prepare(self, text: str) -> "Outcome":
        try:
            return self._prepared(text)
        except GraphQLError as error:
            return InvalidDocument([error])
        except InvalidDocument as invalid:
            return invalid
        except Refusal as refusal:
            return refusal
        except RecursionError:
            return TooMany("The document is nested too deeply.", measure="depth", limit=self._limits.depth)

    def _prepared(self, text: str) -> Document:
        document, tokens = self._parsed(text)
        measured = self._measure.check(document)  # before validation, which is dear for what is beyond the limits
        most = 1 if tokens > LARGE_TOKENS else ERRORS_MOST
        errors = validate(
            self._schema, document, [SpecifiedRules], max_errors=most, hide_suggestions=not self._suggests
        )
        if errors:
            raise InvalidDocument(list(errors))
        fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}
        operations = {
            (node.name.value if node.name else None): self._operation(document, node, fragments, measured)
            for node in document.definitions
            if isinstance(node, OperationDefinitionNode)
        }
        if not operations:
            raise InvalidDocument([GraphQLError("The document has no operation.")])
        return Document(operations, tokens)

    def _parsed(self, text: str) -> tuple[DocumentNode, int]:
        """Returns the document, and how many tokens it has."""
        most = self._limits.tokens
        parser = Parser(Source(text), max_tokens=most)
        try:
            return parser.parse_document(), parser.token_count
        except GraphQLError:
            if parser.token_count > most:
                message, counted = f"The document has more than {most} tokens.", parser.token_count
                raise TooMany(message, measure="tokens", limit=most, asked=counted) from None
            raise

    def _operation(
        self,
        document: DocumentNode,
        node: OperationDefinitionNode,
        fragments: dict[str, FragmentDefinitionNode],
        measured: Measured,
    ) -> Operation:
        root = self._schema.get_root_type(node.operation)
        assert root is not None, "validation has seen to it"
        guarded = guarded_paths(self._schema, root, node.selection_set, fragments)
        text, variables = _shared(document, node) if node.operation is OperationType.SUBSCRIPTION else ("", frozenset())
        roots = frozenset(root_fields(fragments, node))
        counting = Counting(measured.counted, self._limits.cost)
        plans = Plans(document, is_large=measured.cost > LARGE_COST, counting=counting)
        return Operation(document, node, node.operation.value, roots, guarded, text, variables, plans)


Outcome: TypeAlias = Document | InvalidDocument | Refusal


class _Cached(NamedTuple):
    outcome: Outcome
    size: int  # bytes


def _size(text: str, outcome: Outcome) -> int:
    if isinstance(outcome, Document):
        return len(text) + TOKEN_BYTES * outcome.tokens
    return len(text) * (10 if isinstance(outcome, InvalidDocument) else 1)  # its errors hold on to a part of it


class _Variables(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def enter_variable(self, node: VariableNode, *_: Any) -> None:
        self.names.add(node.name.value)


def _shared(document: DocumentNode, operation: OperationDefinitionNode) -> tuple[str, frozenset[str]]:
    """Returns what is executed for each event: the selection below the root field, as text, and the variables in it.

    The arguments of the root field say which stream it is, and where to start; the stream has a key of its own.
    """
    selections = tuple(
        replace(node, arguments=()) if isinstance(node, FieldNode) else node
        for node in operation.selection_set.selections
    )
    shown = replace(operation.selection_set, selections=selections)
    shared = replace(operation, name=None, variable_definitions=(), selection_set=shown)
    fragments = [d for d in document.definitions if isinstance(d, FragmentDefinitionNode)]
    variables = _Variables()
    for part in (shared, *fragments):
        visit(part, variables)
    # Their definitions stay: a default value is shown as a given one is.
    defined = tuple(d for d in operation.variable_definitions or () if d.variable.name.value in variables.names)
    shared = replace(shared, variable_definitions=defined)
    return "\n".join(print_ast(part) for part in (shared, *fragments)), frozenset(variables.names)
