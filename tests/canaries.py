"""Values that stand nowhere else, planted in every guarded field by the very table that guards it, and heard again in
whatever comes out: written as text, as a number, packed, or hidden in base64."""

import re
import struct
from base64 import b64decode, urlsafe_b64decode
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from sqlalchemy import Column, DateTime, Integer, Numeric, Table

from graphql_app.domain.access import GUARDED, Scope
from graphql_app.store.postgres.database import Database
from graphql_app.store.schema.tables import employees, workstations
from tests.graphql_client import seed

ROWS = 5  # desks of the seed; of employees there are two
TABLES: Mapping[str, Table] = {"Workstation": workstations, "Employee": employees}
# What is no column of its own: where its value comes from.
SHOWS = {("Workstation", "employee_id"): ("Employee", "employee_number")}
# Types that show the fields of another, and what is no value but people.
TWINS = {"WorkstationImage": "Workstation"}
PEOPLE = {("PresenceChange", "people")}
# To be added to the number of a row: another world, of which somebody from whom it is hidden must not notice anything.
OTHERWISE = 500


@dataclass(frozen=True)
class Canary:
    """A guarded column, and what is planted there: of each row another value, in order of the ids."""

    type_name: str
    field: str
    scope: Scope
    place: int

    @cached_property
    def column(self) -> Column[Any]:
        return TABLES[self.type_name].c[self.field]

    def value(self, row: int) -> Any:
        number = 71_000_000 + self.place * 10_000 + row
        if isinstance(self.column.type, Numeric):
            return number + 0.25
        if isinstance(self.column.type, Integer):
            return number * 10  # a version grows: the first eight figures stay
        if isinstance(self.column.type, DateTime):
            return datetime(1971, 7, 1 + self.place, row // 100, row % 60, 7, tzinfo=UTC)
        return f"CANARY-{self.place:02d}-{row:03d}"

    def sounds(self, row: int) -> Iterator[bytes]:
        """The ways in which it may be written."""
        value = self.value(row)
        if isinstance(value, datetime):
            yield value.strftime("%Y-%m-%dT%H:%M").encode()
            yield str(int(value.timestamp())).encode()
        elif isinstance(value, str):
            yield value.encode()
        else:
            yield str(int(value))[:8].encode()
            yield from (struct.pack(form, value) for form in ("<d", ">d"))


def _planted() -> Iterator[Canary]:
    place = 0
    for type_name, fields in GUARDED.items():
        for field, scope in fields.items():
            if type_name in TABLES and (type_name, field) not in SHOWS:
                place += 1
                yield Canary(type_name, field, scope, place)


CANARIES = list(_planted())
GUARDING = frozenset(canary.scope for canary in CANARIES)


def unplanted() -> set[tuple[str, str]]:
    """The guarded fields of which this file does not know how to plant them."""
    known = {(canary.type_name, canary.field) for canary in CANARIES} | SHOWS.keys() | PEOPLE
    return {
        (TWINS.get(type_name, type_name), field) for type_name, fields in GUARDED.items() for field in fields
    } - known


_SOUNDS = {
    sound: canary
    for canary in CANARIES
    for row in (*range(1, ROWS + 1), *range(OTHERWISE + 1, OTHERWISE + ROWS + 1))
    for sound in canary.sounds(row)
}
_HEARD = re.compile(b"|".join(map(re.escape, _SOUNDS)), re.DOTALL)
_ENCODED = re.compile(rb"[A-Za-z0-9+/_-]{8,}={0,2}")


def readings(content: bytes) -> Iterator[bytes]:
    """The content, and what every text in it says when it is decoded, twice over."""
    yield content
    for _ in range(2):
        parts = []
        for text in _ENCODED.findall(content):
            for decode in (b64decode, urlsafe_b64decode):
                with suppress(ValueError):
                    parts.append(decode(text + b"=" * (-len(text) % 4)))
        content = b"\n".join(parts)
        yield content


def heard(content: bytes) -> set[Canary]:
    """The canaries in it."""
    return {_SOUNDS[sound] for reading in readings(content) for sound in _HEARD.findall(reading)}


def _literal(value: Any) -> str:
    return str(value) if isinstance(value, (int, float)) else f"'{value}'"


PREPARED = """
INSERT INTO notifications (title, created_at) VALUES ('For everybody', now());
UPDATE workstations SET created_at = '2020-01-01Z'
"""
# Some of the audit log has left the change log, and some has not. The images in both hold canaries.
HISTORY = """
UPDATE workstations SET notes = 'painted' WHERE id = 1;
UPDATE workstations SET notes = 'polished' WHERE id = 2;
INSERT INTO audit_log (seq, workstation_id, logged_at, actor, before, after)
    SELECT seq, entity_id::integer, now(), actor, before, after FROM change_log
    WHERE entity = 'workstation' AND entity_id = '1' ORDER BY seq DESC LIMIT 1;
DELETE FROM change_log WHERE seq IN (SELECT seq FROM audit_log)
"""


async def plant(database: Database, otherwise: frozenset[Scope] = frozenset()) -> None:
    """The small office with a canary in each guarded field; those of the scopes `otherwise` are others."""
    await seed(database)
    numbered = [canary for canary in CANARIES if canary.type_name != "Workstation"]
    stamped = [canary for canary in CANARIES if canary.type_name == "Workstation"]
    statements = [one for one in PREPARED.split(";\n") if one.strip()]
    # The labels of workstations take over what is planted in what they show.
    for canary in numbered:
        if canary.field == "version":  # triggers count it, whatever is written
            statements.append("ALTER TABLE employees DISABLE TRIGGER employees_stamped_v1")
            statements += _updates(canary, canary.scope in otherwise)
            statements.append("ALTER TABLE employees ENABLE TRIGGER employees_stamped_v1")
        else:
            statements += _updates(canary, canary.scope in otherwise)
    statements.append("ALTER TABLE workstations DISABLE TRIGGER USER")
    for canary in stamped:
        statements += _updates(canary, canary.scope in otherwise)
    statements += ["ALTER TABLE workstations ENABLE TRIGGER USER", *HISTORY.strip().split(";\n")]
    async with database.engine.begin() as connection:
        for statement in ["DELETE FROM audit_log", "DELETE FROM login_failures", *statements]:
            await connection.exec_driver_sql(statement)


def _updates(canary: Canary, is_other: bool) -> Iterator[str]:
    for row in range(1, ROWS + 1):
        value = _literal(canary.value(row + OTHERWISE * is_other))
        yield f"UPDATE {TABLES[canary.type_name].name} SET {canary.field} = {value} WHERE id = {row}"
