"""Changing the office: create, edit, move, delete, set the status, assign, release. Each is one transaction."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from graphql_app.domain import arranging
from graphql_app.domain.access import Scope, redact, require, require_fields
from graphql_app.domain.arranging import Idempotency
from graphql_app.domain.caller import Caller
from graphql_app.domain.errors import Conflict, InvalidInput, NotFound
from graphql_app.domain.workstation import Status, Workstation
from graphql_app.services.consistency import ConsistencyTokens
from graphql_app.services.office.write_batcher import WriteBatcher
from graphql_app.store import office as queries
from graphql_app.store import reservations
from graphql_app.store.postgres.database import Database
from graphql_app.store.postgres.retry import retry_on_contention
from graphql_app.store.postgres.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Arranged:
    """The row just written, redacted for its author, and the consistency token of its transaction (`receipt`)."""

    workstation: Workstation
    receipt: str


@dataclass(frozen=True, slots=True)
class Removed:
    workstation_id: int
    receipt: str


Rule = Callable[[Workstation, Transaction], Awaitable[Mapping[str, Any]]]


LOCK_MILLISECONDS = 250  # the longest that a connection waits for a row: other requests need the connection
# A writer is shown the row that was written, and the row that stood in the way: writing takes both scopes.
ARRANGING = (Scope.WRITE, Scope.READ)


class Arrange:
    """Use cases of those who may write. `key` makes a repeated request do nothing twice and answer the same."""

    def __init__(self, database: Database, tokens: ConsistencyTokens) -> None:
        self._database = database
        self._tokens = tokens
        self._batcher = WriteBatcher(partial(queries.update_guarded, database))

    @retry_on_contention
    async def create(self, caller: Caller, values: Mapping[str, Any], key: Idempotency | None = None) -> Arranged:
        """Raises Forbidden, InvalidInput, NameTaken, ReadOnly."""
        require(caller.viewer, *ARRANGING)
        values = arranging.checked(values)
        async with self._database.writing(caller, key, lock_milliseconds=LOCK_MILLISECONDS) as transaction:
            if transaction.replayed is not None:
                before = await self._as_before(caller, transaction)
                if before is None:
                    raise Conflict("What was created with this idempotency key has been deleted since; make a new key.")
                return before
            created = await queries.insert_workstation(transaction.connection, values)
            await transaction.remember(caller, f"{created.id} {transaction.id}")
        return Arranged(redact(caller.view, created), self._tokens.issue(transaction.id, created.place))

    async def edit(
        self,
        caller: Caller,
        workstation_id: int,
        values: Mapping[str, Any],
        expected_version: int | None = None,
        key: Idempotency | None = None,
    ) -> Arranged:
        """Raises Forbidden, also for a field that the viewer may not see, NotFound, VersionConflict, InvalidInput,
        NameTaken, ReadOnly."""
        require(caller.viewer, *ARRANGING)
        require_fields(caller.view, "Workstation", values, "Changing")
        return await self._edit(caller, workstation_id, arranging.checked(values), expected_version, key)

    async def set_status(
        self,
        caller: Caller,
        workstation_id: int,
        status: Status,
        expected_version: int | None = None,
        key: Idempotency | None = None,
    ) -> Arranged:
        """Raises Forbidden, NotFound, VersionConflict, Conflict, ReadOnly."""

        return await self._edit(caller, workstation_id, {"status": status}, expected_version, key)

    async def assign(
        self,
        caller: Caller,
        workstation_id: int,
        employee_key: UUID,
        expected_version: int | None = None,
        key: Idempotency | None = None,
    ) -> Arranged:
        """Raises Forbidden, NotFound, InvalidInput, VersionConflict, Conflict, ReadOnly."""

        async def rule(current: Workstation, transaction: Transaction) -> Mapping[str, Any]:
            found = await queries.employees_by_key(transaction.connection, [employee_key])
            if employee_key not in found:
                raise InvalidInput("There is no such employee.", field="employeeId")
            await _require_unbooked(transaction, current)
            return arranging.assign(current, found[employee_key])

        return await self._change(caller, workstation_id, rule, expected_version, key)

    async def release(
        self,
        caller: Caller,
        workstation_id: int,
        expected_version: int | None = None,
        key: Idempotency | None = None,
    ) -> Arranged:
        """Raises Forbidden, NotFound, VersionConflict, ReadOnly."""
        return await self._edit(caller, workstation_id, {"status": Status.AVAILABLE}, expected_version, key)

    @retry_on_contention
    async def delete(
        self,
        caller: Caller,
        workstation_id: int,
        expected_version: int | None = None,
        key: Idempotency | None = None,
    ) -> Removed:
        """Raises Forbidden, NotFound, VersionConflict, ReadOnly."""
        require(caller.viewer, *ARRANGING)
        async with self._database.writing(caller, key, lock_milliseconds=LOCK_MILLISECONDS) as transaction:
            if transaction.replayed is not None:
                return Removed(workstation_id, self._tokens.issue(int(transaction.replayed.split()[1])))
            current = await self._locked(transaction, workstation_id)
            with showing(caller, current):
                arranging.require_version(current, expected_version)
                await _require_no_bookings(transaction, current)
            await queries.delete_workstation(transaction.connection, workstation_id)
            await transaction.remember(caller, f"{workstation_id} {transaction.id}")
        return Removed(workstation_id, self._tokens.issue(transaction.id, current.place))

    async def _edit(
        self,
        caller: Caller,
        workstation_id: int,
        changes: Mapping[str, Any],
        expected: int | None,
        key: Idempotency | None,
    ) -> Arranged:
        """Writes in one round trip, in a batch with others, where the guards allow it.

        An edit that they refuse, that moves the workstation or that has an idempotency key takes a transaction of its
        own.
        """
        require(caller.viewer, *ARRANGING)
        guarded = arranging.conditional_update(changes)
        if guarded is not None and guarded.changes and "building" not in changes and key is None:
            written = await self._batcher.write(queries.Update(caller, workstation_id, guarded, expected))
            if written is not None:
                saved, transaction_id = written
                return Arranged(redact(caller.view, saved), self._tokens.issue(transaction_id, saved.place))

        async def rule(current: Workstation, transaction: Transaction) -> Mapping[str, Any]:
            if changes.get("status") is Status.AVAILABLE:
                await _require_unbooked(transaction, current)
            return arranging.edit(current, changes)

        return await self._change(caller, workstation_id, rule, expected, key)

    @retry_on_contention
    async def _change(
        self, caller: Caller, workstation_id: int, rule: Rule, expected: int | None, key: Idempotency | None
    ) -> Arranged:
        require(caller.viewer, *ARRANGING)
        async with self._database.writing(caller, key, lock_milliseconds=LOCK_MILLISECONDS) as transaction:
            if transaction.replayed is not None:
                answer = await self._as_before(caller, transaction)
                if answer is None:
                    raise NotFound("The workstation of this idempotency key has been deleted since.")
                return answer
            saved = before = await self._locked(transaction, workstation_id)
            with showing(caller, before):
                arranging.require_version(before, expected)
                changes = await rule(before, transaction)
            if changes:
                saved = await queries.update_workstation(transaction.connection, workstation_id, changes)
            await transaction.remember(caller, f"{workstation_id} {transaction.id}")
        return Arranged(redact(caller.view, saved), self._tokens.issue(transaction.id, before.place, saved.place))

    async def _locked(self, transaction: Transaction, workstation_id: int) -> Workstation:
        current = await queries.locked_workstation(transaction.connection, workstation_id)
        if current is None:
            raise NotFound("There is no such workstation; it may have been deleted.")
        return current

    async def _as_before(self, caller: Caller, transaction: Transaction) -> Arranged | None:
        """Returns the answer to a repeated request: the workstation that the first request changed, as it is now.

        Returns None when the workstation has been deleted since.
        """
        assert transaction.replayed is not None
        workstation_id, transaction_id = map(int, transaction.replayed.split())
        found = await queries.workstations_by_id(transaction.connection, [workstation_id])
        if workstation_id not in found:
            return None
        return Arranged(redact(caller.view, found[workstation_id]), self._tokens.issue(transaction_id))


async def _require_unbooked(transaction: Transaction, current: Workstation) -> None:
    """Raises Conflict for a desk that a booking keeps now."""
    booking = await reservations.keeping(transaction.connection, current.id)
    if booking is not None:
        ends_at = booking.ends_at.isoformat()
        raise Conflict(f"A booking keeps this desk until {ends_at}; cancel it or check out first.", until=ends_at)


async def _require_no_bookings(transaction: Transaction, current: Workstation) -> None:
    """Raises Conflict for a desk with bookings that are not over."""
    count = await reservations.count_blocking(transaction.connection, current.id)
    if count:
        raise Conflict(f"This desk has {count} bookings that are not over; cancel them first.", reservations=count)


@contextmanager
def showing(caller: Caller, current: Workstation) -> Iterator[None]:
    """Adds the present state, redacted for the caller, to a Conflict that is raised in the block."""
    try:
        yield
    except Conflict as conflict:
        conflict.current = redact(caller.view, current)
        raise
