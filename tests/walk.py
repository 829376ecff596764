"""Everything that can be asked, made from the schema itself: each field below each way in, each argument with each
value worth trying, and each way of writing it. A field that is new is asked for without a line here."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    Undefined,
    get_named_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
)

DEEP = 7  # levels of fields; the same type is not entered again below itself

# Values for an argument or input field, by its name or by its type, as GraphQL writes them. The first of them is meant
# to find something.
Values = Mapping[str, Sequence[str]]

STYLES = ("plain", "aliases", "fragments", "inline", "interface")


class Unknown(Exception):
    """No value is known for an argument: the walk has to be told one."""


@dataclass
class Writer:
    """Writes selections of all there is below a type, in one style."""

    schema: GraphQLSchema
    values: Values
    style: str
    deep: int = DEEP
    met: set[tuple[str, str]] = field(default_factory=set)
    _fragments: dict[str, str] = field(default_factory=dict)

    def document(self, operation: str, root: str, name: str, arguments: str, of: GraphQLNamedType) -> Iterator[str]:
        """Documents that ask for all below one field of the root, one for each type that it may be: their fields need
        not be of one type. What a mutation answers is asked for all at once, each type's fields under aliases."""
        self.met.add((root, name))
        if operation == "mutation":
            self.style = "aliases"
            parts = [self._member(concrete) for concrete in self.possible(of)]
            yield f"mutation {{ it: {name}{arguments} {{ __typename {' '.join(parts)} }} }}"
            return
        for concrete in self.possible(of):
            self._fragments = {}
            below = self._below(of, concrete, ())
            yield " ".join([f"{operation} {{ it: {name}{arguments}{below} }}", *self._fragments.values()])

    def _member(self, concrete: GraphQLNamedType) -> str:
        assert isinstance(concrete, GraphQLObjectType)
        return f"... on {concrete.name} {{ {self._all(concrete, ())} }}"

    def possible(self, of: GraphQLNamedType) -> list[GraphQLNamedType]:
        if isinstance(of, (GraphQLInterfaceType, GraphQLUnionType)):
            return list(self.schema.get_possible_types(of))
        return [of]

    def _below(self, of: GraphQLNamedType, concrete: GraphQLNamedType, above: tuple[str, ...]) -> str:
        if is_leaf_type(of):
            return ""
        assert isinstance(concrete, GraphQLObjectType)
        inside = self._all(concrete, above)
        if isinstance(of, GraphQLInterfaceType):
            self.met |= {(of.name, name) for name in of.fields}
        if of is not concrete or self.style == "inline":
            inside = f"... on {concrete.name} {{ {inside} }}"
        if self.style == "inline":
            inside = f"... @include(if: true) {{ ... @skip(if: false) {{ {inside} }} }}"
        if self.style == "interface" and concrete.interfaces:
            inside = f"... on {concrete.interfaces[0].name} {{ __typename ... on {concrete.name} {{ {inside} }} }}"
            inside = inside if of is concrete or of in concrete.interfaces else f"... on {concrete.name} {{ {inside} }}"
        return f" {{ {inside} }}"

    def _all(self, of: GraphQLObjectType, above: tuple[str, ...]) -> str:
        fields = [self._field(of, name, found, (*above, of.name)) for name, found in of.fields.items()]
        text = " ".join(["__typename", *filter(None, fields)])
        if self.style != "fragments":
            return text
        name = f"F{len(self._fragments)}{of.name}"
        self._fragments[name] = f"fragment {name} on {of.name} {{ {text} }}"
        return f"...{name} ...{name}"

    def _field(self, of: GraphQLObjectType, name: str, found: GraphQLField, above: tuple[str, ...]) -> str:
        below = get_named_type(found.type)
        if below.name in above or len(above) >= self.deep:
            return ""
        self.met.add((of.name, name))
        alias = f"{of.name}_{name}: " if self.style == "aliases" else ""
        arguments = written(base(found.args, self.values))
        if is_leaf_type(below):
            return f"{alias}{name}{arguments}"
        # In a union or interface, each type under an alias of its own: their fields need not be of one type.
        parts = []
        for concrete in self.possible(below):
            own = alias or (f"{name}_{concrete.name}: " if concrete is not below else "")
            own = own.replace(": ", f"_{concrete.name}: ") if alias and concrete is not below else own
            if concrete.name not in above:
                parts.append(f"{own}{name}{arguments}{self._below(below, concrete, above)}")
        return " ".join(parts)


# --- arguments -------------------------------------------------------------------------------------------------------

Arguments = Mapping[str, GraphQLArgument]


def base(arguments: Arguments, values: Values) -> dict[str, str]:
    """What has to be given, each with its first value."""
    return {
        name: next(iter(candidates(name, found.type, values)))
        for name, found in arguments.items()
        if is_non_null_type(found.type) and found.default_value is Undefined
    }


def variants(arguments: Arguments, values: Values) -> Iterator[dict[str, str]]:
    """The arguments in all ways worth trying: what must be, and then each value of each, one at a time."""
    required = base(arguments, values)
    yield required
    for name, found in arguments.items():
        for value in candidates(name, found.type, values):
            if required.get(name) != value:
                yield required | {name: value}


def candidates(name: str, of: Any, values: Values) -> Iterator[str]:
    """The values worth trying for an argument, or for a field of an input."""
    if is_non_null_type(of):
        yield from candidates(name, of.of_type, values)
    elif is_list_type(of) and name in values:
        yield from values[name]
    elif is_list_type(of):
        for value in candidates(name, of.of_type, values):
            yield f"[{value}]"
    elif isinstance(of, GraphQLEnumType):
        yield from values.get(name, of.values)
    elif isinstance(of, GraphQLInputObjectType) and of.name in values:
        yield from values[of.name]
    elif isinstance(of, GraphQLInputObjectType):
        for given in variants(of.fields, values):
            yield "{" + ", ".join(f"{key}: {value}" for key, value in given.items()) + "}"
    else:
        found = values.get(name) or values.get(of.name)
        if not found:
            raise Unknown(f"{name}: {of.name}")
        yield from found


def written(arguments: Mapping[str, str]) -> str:
    return f"({', '.join(f'{name}: {value}' for name, value in arguments.items())})" if arguments else ""


# --- documents -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Walked:
    documents: dict[str, list[str]]  # by the field of the root
    met: frozenset[tuple[str, str]]


def walk(
    schema: GraphQLSchema, operation: str, values: Values, styles: Sequence[str] = STYLES, deep: int = DEEP
) -> Walked:
    """All documents of a kind of operation: the plain style with all arguments, the others with what must be given."""
    root = {"query": schema.query_type, "mutation": schema.mutation_type, "subscription": schema.subscription_type}[
        operation
    ]
    assert root is not None
    documents: dict[str, list[str]] = {}
    met: set[tuple[str, str]] = set()
    for style in styles:
        for name, found in root.fields.items():
            writer = Writer(schema, values, style, deep)
            of = get_named_type(found.type)
            given = list(variants(found.args, values)) if style == "plain" else [base(found.args, values)]
            for arguments in given:
                documents.setdefault(name, []).extend(
                    writer.document(operation, root.name, name, written(arguments), of)
                )
            met |= writer.met
    return Walked({name: list(dict.fromkeys(found)) for name, found in documents.items()}, frozenset(met))


def reachable(schema: GraphQLSchema) -> set[tuple[str, str]]:
    """Every field of every type that an operation can come to."""
    roots = (schema.query_type, schema.mutation_type, schema.subscription_type)
    pending: list[GraphQLNamedType] = [root for root in roots if root is not None]
    seen: set[str] = set()
    fields: set[tuple[str, str]] = set()
    while pending:
        of = pending.pop()
        if of.name in seen or is_leaf_type(of):
            continue
        seen.add(of.name)
        if isinstance(of, (GraphQLInterfaceType, GraphQLUnionType)):
            pending += schema.get_possible_types(of)
        if isinstance(of, (GraphQLObjectType, GraphQLInterfaceType)):
            fields |= {(of.name, name) for name in of.fields}
            pending += [get_named_type(found.type) for found in of.fields.values()]
    return fields


# --- REST ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Call:
    """One request on a door that OpenAPI describes."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    body: str | None = None


def calls(openapi: Mapping[str, Any], values: Values, bodies: Mapping[str, str]) -> Iterator[Call]:
    """Every operation with what it needs, and then each value of each other parameter, one at a time."""
    for path, operations in openapi["paths"].items():
        for method, operation in operations.items():
            given = [one for one in operation.get("parameters", ()) if one["name"] != "authorization"]
            body = bodies.get(method.upper()) if "requestBody" in operation else None
            for at in _paths(path, given, values):
                yield Call(method.upper(), at, body=body)
                for one in given:
                    if one["in"] == "path":
                        continue
                    name, kind = one["name"], "query" if one["in"] == "query" else "headers"
                    if name not in values:
                        raise Unknown(f"{method} {path}: {name}")
                    for value in values[name]:
                        yield Call(method.upper(), at, body=body, **{kind: ((name, value),)})


def _paths(path: str, parameters: Sequence[Any], values: Values) -> list[str]:
    """The path with each value of an enumeration in it, and the first of anything else."""
    paths = [path]
    for one in parameters:
        if one["in"] == "path":
            is_listed = "$ref" in one["schema"] or "enum" in one["schema"]
            chosen = values[one["name"]][: None if is_listed else 1]
            paths = [at.replace("{" + one["name"] + "}", value) for at in paths for value in chosen]
    return paths
