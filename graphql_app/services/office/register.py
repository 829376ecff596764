"""Keeping the office's register: buildings, floors, departments and employees, each change one transaction."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from graphql_app.domain.access import Scope, redact_employee, require, require_fields
from graphql_app.domain.arranging import Idempotency
from graphql_app.domain.caller import Caller
from graphql_app.domain.errors import Conflict, NotFound
from graphql_app.domain.office import EMPLOYEE, OfficeKind, checked_values, require_unused, require_version
from graphql_app.domain.workstation import Employee
from graphql_app.services.consistency import ConsistencyTokens
from graphql_app.services.office.arrange import LOCK_MILLISECONDS
from graphql_app.store import office as queries
from graphql_app.store.postgres.database import Database
from graphql_app.store.postgres.retry import retry_on_contention
from graphql_app.store.postgres.transaction import Transaction

Key = int | UUID  # of an employee the public key, of all else the row's number


@dataclass(frozen=True, slots=True)
class Recorded:
    """What was just written, redacted for its author, and the consistency token of its transaction (`receipt`)."""

    value: Any
    receipt: str


@dataclass(frozen=True, slots=True)
class Struck:
    key: Key
    receipt: str


class Register:
    """Use cases of those who may write a kind. `key` makes a repeated request do nothing twice and answer the same."""

    def __init__(self, database: Database, tokens: ConsistencyTokens) -> None:
        self._database = database
        self._tokens = tokens

    @retry_on_contention
    async def create(
        self, caller: Caller, kind: OfficeKind, values: Mapping[str, Any], key: Idempotency | None = None
    ) -> Recorded:
        """Raises Forbidden, InvalidInput, NameTaken, ReadOnly."""
        _require(caller, kind, values)
        values = checked_values(kind, values)
        async with self._database.writing(caller, key, lock_milliseconds=LOCK_MILLISECONDS) as transaction:
            if transaction.replayed is not None:
                return await self._as_before(caller, kind, transaction)
            created = await queries.insert_registered(transaction.connection, kind, values)
            found = await queries.registered(transaction.connection, kind, [created])
            await transaction.remember(caller, f"{created} {transaction.id}")
        return Recorded(_shown(caller, found[created]), self._tokens.issue_anywhere(transaction.id))

    @retry_on_contention
    async def edit(
        self,
        caller: Caller,
        kind: OfficeKind,
        row_key: Key,
        values: Mapping[str, Any],
        expected: int | None = None,
        key: Idempotency | None = None,
    ) -> Recorded:
        """Raises Forbidden, also for a field that the viewer may not see, NotFound, VersionConflict, InvalidInput,
        NameTaken, ReadOnly."""
        _require(caller, kind, values)
        _require_guess(caller, kind, expected)
        values = checked_values(kind, values)
        async with self._database.writing(caller, key, lock_milliseconds=LOCK_MILLISECONDS) as transaction:
            if transaction.replayed is not None:
                return await self._as_before(caller, kind, transaction)
            connection = transaction.connection
            is_written = bool(values) and await queries.update_registered(connection, kind, row_key, values, expected)
            found = await queries.registered(connection, kind, [row_key])
            current = _present(found.get(row_key))
            with _showing(caller, current):
                if not is_written:
                    require_version(current, expected, is_another=bool(values))
            await transaction.remember(caller, f"{row_key} {transaction.id}")
        return Recorded(_shown(caller, current), self._tokens.issue_anywhere(transaction.id))

    @retry_on_contention
    async def delete(
        self,
        caller: Caller,
        kind: OfficeKind,
        row_key: Key,
        expected: int | None = None,
        key: Idempotency | None = None,
    ) -> Struck:
        """Raises Forbidden, NotFound, VersionConflict, InUse, ReadOnly."""
        _require(caller, kind, {})
        _require_guess(caller, kind, expected)
        async with self._database.writing(caller, key, lock_milliseconds=LOCK_MILLISECONDS) as transaction:
            if transaction.replayed is not None:
                return Struck(row_key, self._tokens.issue_anywhere(int(transaction.replayed.split()[1])))
            current = _present(await queries.locked_registered(transaction.connection, kind, row_key))
            with _showing(caller, current):
                require_version(current, expected)
                require_unused(await queries.references_to(transaction.connection, kind, row_key))
            await queries.delete_registered(transaction.connection, kind, row_key)
            await transaction.remember(caller, f"{row_key} {transaction.id}")
        return Struck(row_key, self._tokens.issue_anywhere(transaction.id))

    async def _as_before(self, caller: Caller, kind: OfficeKind, transaction: Transaction) -> Recorded:
        """Returns the answer to a repeated request: what the first request changed, as it is now."""
        assert transaction.replayed is not None
        row_key, transaction_id = transaction.replayed.split()
        key: Key = UUID(row_key) if kind is EMPLOYEE else int(row_key)
        found = await queries.registered(transaction.connection, kind, [key])
        if key not in found:
            raise Conflict("What this idempotency key was used for has been deleted since; make a new key.")
        return Recorded(_shown(caller, found[key]), self._tokens.issue_anywhere(int(transaction_id)))


def _require(caller: Caller, kind: OfficeKind, values: Mapping[str, Any]) -> None:
    """Raises Forbidden. A writer is shown what was written, and what stood in the way: writing takes both scopes."""
    require(caller.viewer, kind.scope, Scope.READ)
    require_fields(caller.view, kind.type_name, values, "Changing")


def _require_guess(caller: Caller, kind: OfficeKind, expected: int | None) -> None:
    """Raises Forbidden: a guess that is right would tell a hidden version."""
    if expected is not None:
        require_fields(caller.view, kind.type_name, ["version"], "Expecting")


def _present(found: Any) -> Any:
    if found is None:
        raise NotFound("There is no such thing; it may have been deleted.")
    return found


@contextmanager
def _showing(caller: Caller, current: Any) -> Iterator[None]:
    """Adds the present state, redacted for the caller, to a Conflict that is raised in the block."""
    try:
        yield
    except Conflict as conflict:
        conflict.current = _shown(caller, current)
        raise


def _shown(caller: Caller, value: Any) -> Any:
    return redact_employee(caller.view, value) if isinstance(value, Employee) else value
