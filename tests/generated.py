"""Documents over a whole schema and data that need not fit it, made by Hypothesis."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID

from graphql import (
    BooleanValueNode,
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLSchema,
    InlineFragmentNode,
    NamedTypeNode,
    NameNode,
    NonNullTypeNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    StringValueNode,
    ValueNode,
    VariableDefinitionNode,
    VariableNode,
    get_named_type,
    is_composite_type,
)
from graphql.language import ArgumentNode, ListValueNode
from graphql.pyutils import Undefined
from hypothesis import strategies as st
from hypothesis_graphql import mutations, nodes, queries

from graphql_app.domain.change import Kind
from graphql_app.domain.errors import NotFound
from graphql_app.domain.identifiers import global_id
from graphql_app.domain.workstation import Counts, Floor, Status, WholeFloor
from tests.examples import ADA, RESEARCH, THEN, WEI, workstation

VARIABLES = ("yes", "no")


class Later:
    """A value that has to be awaited, as often as one likes."""

    def __await__(self) -> Any:
        yield from ()
        return "later"


class Text(str):
    __slots__ = ()


# What an attribute of a domain object has no business to be, beside much that it may be.
ODDITIES: list[Any] = [
    *(None, "", "text", 0, 7, -1, 2**31, 2**70, True, False, 1.5, -0.0, float("nan"), float("inf")),
    *(Decimal("1.5"), Text("of a class of its own"), b"bytes", UUID(int=5), object(), Undefined),
    *(THEN, THEN.replace(tzinfo=None), THEN.astimezone(timezone(timedelta(hours=8))), datetime(1, 1, 1, tzinfo=UTC)),
    *(THEN + timedelta(microseconds=1), *Status, Kind.CHANGES, "available", "AVAILABLE"),
    *([], ["a", None, 1], {"a": 1}, (), range(2), '{"a": [1, null]}', "{", "[1e400]"),
    *(RESEARCH, ADA, WEI, Floor(1, "HQ", 1, ""), workstation(), [workstation()], [None]),
    *(Later(), ValueError("a value that is an error"), NotFound("a refusal as a value")),
]


class Data:
    """Makes domain objects; now and then something is wrong with one."""

    def __init__(self, random: Random) -> None:
        self.random = random

    def one_in(self, many: int) -> bool:
        return self.random.randrange(many) == 0

    def oddity(self) -> Any:
        return self.random.choice(ODDITIES)

    def mostly(self, value: Any) -> Any:
        return self.oddity() if self.one_in(5) else value

    def optional(self, make: Callable[[], Any]) -> Any:
        return None if self.one_in(4) else make()

    def list_of(self, make: Callable[[], Any]) -> Any:
        if self.one_in(12):
            return self.oddity()
        made = [self.oddity() if self.one_in(12) else make() for _ in range(self.random.randrange(5))]
        return tuple(made) if self.one_in(5) else made

    def department(self) -> Any:
        return self._object(RESEARCH)

    def employee(self) -> Any:
        return self._object(self.random.choice([ADA, WEI]))

    def floor(self) -> Any:
        return self._object(Floor(3, "HQ", 1, "Lobby"))

    def whole_floor(self) -> Any:
        return self._object(WholeFloor(3, "HQ", 1, "Lobby", self.list_of(self.workstation)))

    def counts(self) -> Any:
        by_status = {Status.OCCUPIED: 2} if self.one_in(4) else dict.fromkeys(Status, 1)
        return Counts(self.mostly("HQ"), by_status)

    def workstation(self) -> Any:
        department, employee = self.optional(self.department), self.optional(self.employee)
        status = self.random.choice(list(Status))
        return self._object(
            workstation(id=self.random.randrange(9), department=department, employee=employee, status=status)
        )

    def _object(self, regular: Any) -> Any:
        kind = type(regular)
        fields = {name: getattr(regular, name) for name in regular.__dataclass_fields__}
        names = sorted(fields)
        if self.one_in(3):
            fields.update({name: self.oddity() for name in self.random.sample(names, self.random.randint(1, 2))})
        if self.one_in(8):
            kind = _torn(kind, self.random.choice(names))
        return kind(**fields)


def _torn(kind: type, torn: str) -> type:
    """The class, but one attribute raises."""

    def read(self: Any, name: str) -> Any:
        if name == torn:
            raise ValueError(f"{name} cannot be read")
        return object.__getattribute__(self, name)

    return type(kind.__name__, (kind,), {"__slots__": (), "__getattribute__": read})


# --- documents -------------------------------------------------------------------------------------------------------


def _literal(value: str) -> ValueNode:
    return StringValueNode(value=value)


SCALARS: dict[str, st.SearchStrategy[ValueNode]] = {
    "Cursor": st.text("abc", max_size=5).map(_literal),
    "Date": st.just(THEN.date().isoformat()).map(_literal),
    "DateTime": st.just(THEN.isoformat()).map(_literal),
    "Time": st.just("09:00:00").map(_literal),
    "JSON": st.just(nodes.String("1")) | st.just(nodes.Int(1)),
}


IDS = [
    *(global_id(name, 1) for name in ("Workstation", "Workstation", "Workstation", "Floor", "Department")),
    global_id("Employee", ADA.key),
]


def documents(schema: GraphQLSchema, kind: OperationType) -> st.SearchStrategy[DocumentNode]:
    """Operations of the kind, as plain as hypothesis-graphql makes them."""
    settings: Any = {"custom_scalars": SCALARS, "print_ast": lambda node: node, "allow_x00": False}
    if kind is OperationType.MUTATION:
        return mutations(schema, **settings)
    if kind is OperationType.QUERY:
        return queries(schema, **settings)
    root = schema.subscription_type
    assert root is not None
    alone = GraphQLSchema(query=root)
    return st.one_of(*(queries(alone, fields=[name], **settings) for name in root.fields))


def twisted(schema: GraphQLSchema, document: DocumentNode, kind: OperationType, random: Random) -> DocumentNode:
    """The operation, of the kind, with aliases, fragments, directives, `__typename` and IDs put in."""
    (operation,) = document.definitions
    assert isinstance(operation, OperationDefinitionNode)
    root = schema.get_root_type(kind)
    assert root is not None
    twister = _Twister(random, schema)
    selections = twister.selections(operation.selection_set, root, is_root=kind is OperationType.SUBSCRIPTION)
    variables = [
        VariableDefinitionNode(
            variable=VariableNode(name=NameNode(value=name)),
            type=NonNullTypeNode(type=NamedTypeNode(name=NameNode(value="Boolean"))),
            default_value=None,
            directives=(),
        )
        for name in sorted(twister.used)
    ]
    made = OperationDefinitionNode(
        operation=kind, name=None, variable_definitions=tuple(variables), directives=(), selection_set=selections
    )
    return DocumentNode(definitions=(made, *twister.fragments))


class _Twister:
    def __init__(self, random: Random, schema: GraphQLSchema) -> None:
        self._random = random
        self._schema = schema
        self._count = 0
        self.fragments: list[FragmentDefinitionNode] = []
        self.used: set[str] = set()

    def selections(self, given: SelectionSetNode, parent: Any, *, is_root: bool = False) -> SelectionSetNode:
        made = [self._selection(node, parent, is_root=is_root) for node in given.selections]
        if not is_root:
            if self._one_in(3):
                made.insert(self._random.randint(0, len(made)), FieldNode(name=NameNode(value="__typename"), **_BARE))
            if self._one_in(4):
                made = [*made, self._random.choice(made)]  # the same twice is merged
            made = self._wrapped(made, parent)
        return SelectionSetNode(selections=tuple(made))

    def _selection(self, node: Any, parent: Any, *, is_root: bool) -> Any:
        directives = () if is_root else self._directives()
        if isinstance(node, InlineFragmentNode):
            inner = self._schema.get_type(node.type_condition.name.value) if node.type_condition else parent
            return InlineFragmentNode(
                type_condition=node.type_condition,
                directives=directives,
                selection_set=self.selections(node.selection_set, inner),
            )
        alias = node.alias
        if alias is None and self._one_in(3):
            alias = NameNode(value=self._name(node.name.value))
        below = node.selection_set
        if below is not None:
            below = self.selections(below, get_named_type(parent.fields[node.name.value].type))
        arguments = tuple(self._argument(argument) for argument in node.arguments or ())
        return FieldNode(name=node.name, alias=alias, arguments=arguments, directives=directives, selection_set=below)

    def _argument(self, given: ArgumentNode) -> ArgumentNode:
        """What is drawn names nothing, nearly always: here it is something that could be there."""
        if given.name.value == "ids":
            value: ValueNode = ListValueNode(values=tuple(map(_literal, self._random.choices(IDS, k=2))))
        elif given.name.value == "id":
            value = _literal(self._random.choice(IDS))
        elif given.name.value == "building":
            value = _literal("HQ")
        elif given.name.value == "number":
            value = nodes.Int(1)
        else:
            return given
        return ArgumentNode(name=given.name, value=value)

    def _wrapped(self, made: list[Any], parent: Any) -> list[Any]:
        if not self._one_in(3) or not is_composite_type(parent):
            return made
        at = self._random.randrange(len(made))
        condition = NamedTypeNode(name=NameNode(value=parent.name))
        inner = SelectionSetNode(selections=tuple(made[at:]))
        if self._one_in(2):
            fragment = InlineFragmentNode(
                type_condition=condition if self._one_in(2) else None,
                directives=self._directives(),
                selection_set=inner,
            )
            return [*made[:at], fragment]
        name = NameNode(value=self._name("Part"))
        self.fragments.append(
            FragmentDefinitionNode(
                name=name, type_condition=condition, selection_set=inner, directives=(), variable_definitions=()
            )
        )
        return [*made[:at], FragmentSpreadNode(name=name, directives=self._directives(), arguments=())]

    def _directives(self) -> tuple[DirectiveNode, ...]:
        if not self._one_in(5):
            return ()
        value: ValueNode = BooleanValueNode(value=self._one_in(2))
        if self._one_in(2):
            name = self._random.choice(VARIABLES)
            self.used.add(name)
            value = VariableNode(name=NameNode(value=name))
        argument = ArgumentNode(name=NameNode(value="if"), value=value)
        directive = self._random.choice(["skip", "include"])
        return (DirectiveNode(name=NameNode(value=directive), arguments=(argument,)),)

    def _name(self, base: str) -> str:
        self._count += 1
        return f"{base}_{self._count}"

    def _one_in(self, many: int) -> bool:
        return self._random.randrange(many) == 0


_BARE: dict[str, Any] = {"alias": None, "arguments": (), "directives": (), "selection_set": None}
