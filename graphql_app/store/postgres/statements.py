"""SQLAlchemy's statements as asyncpg takes them: a text with $1, $2 …, and the values in that order."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ClauseElement
from sqlalchemy.dialects.postgresql import asyncpg
from sqlalchemy.sql.compiler import SQLCompiler

_DIALECT = asyncpg.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy's own


@dataclass(frozen=True, slots=True)
class Prepared:
    """A statement that was compiled once. `given` holds the values that are part of it."""

    text: str
    names: tuple[str, ...]
    given: Mapping[str, Any]

    def arguments(self, values: Mapping[str, Any]) -> list[Any]:
        """The values in the order of their places, each as asyncpg takes it."""
        given = self.given
        return [values[name] if name in values else given[name] for name in self.names]


Statement = Prepared | ClauseElement

SHAPES_KEPT = 500  # of each kind of statement: which columns, conditions and orders are asked for


def prepared(statement: Statement) -> Prepared:
    """Compiling takes a few hundred microseconds: a statement that runs often is kept like this.

    Its values are `bindparam`s, a list is an array (`= any_(…)`): the text is then the same whatever the values are,
    and the server prepares it once a connection.
    """
    if isinstance(statement, Prepared):
        return statement
    compiled = statement.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
    if not isinstance(compiled, SQLCompiler):  # CREATE TABLE and the like take no values
        return Prepared(compiled.string, (), {})
    return Prepared(compiled.string, tuple(compiled.positiontup or ()), compiled.params)
