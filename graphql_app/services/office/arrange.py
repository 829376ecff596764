"""Changing the office: create, edit, move, delete, set the status, assign, release. Each is one transaction."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from graphql_app.domain import arranging
from graphql_app.domain.access import Scope, Viewer, redact, require, require_fields
from graphql_app.domain.arranging import Idempotency
from graphql_app.domain.errors import Conflict, InvalidInput, NotFound
from graphql_app.domain.workstation import Status, Workstation
from graphql_app.services.consistency import ConsistencyTokens
from graphql_app.services.office.write_batcher import WriteBatcher
from graphql_app.store import office as queries
from graphql_app.store.postgres.database import Database
from graphql_app.store.postgres.retry import tried_again
from graphql_app.store.postgres.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Arranged:
    """The row just written, redacted for its author, and the receipt of the transaction that wrote it."""

    workstation: Workstation
    receipt: str


@dataclass(frozen=True, slots=True)
class Removed:
    workstation_id: int
    receipt: str


Rule = Callable[[Workstation, Transaction], Awaitable[Mapping[str, Any]]]


LOCK_MILLISECONDS = 250  # so long a connection is held by who waits for a row; others need it
# What is written is shown, and so is what came in its way.
ARRANGING = (Scope.WRITE, Scope.READ)


class Arrange:
    """Use cases of those who may write. `key` makes a repeated request do nothing twice and answer the same."""

    def __init__(self, database: Database, receipts: ConsistencyTokens) -> None:
        self._database = database
        self._receipts = receipts
        self._commits = WriteBatcher(partial(queries.update_guarded, database))

    @tried_again
    async def create(self, viewer: Viewer, values: Mapping[str, Any], key: Idempotency | None = None) -> Arranged:
        """Raises Forbidden, InvalidInput, NameTaken, ReadOnly."""
        require(viewer, *ARRANGING)
        values = arranging.checked(values)
        async with self._database.writing(viewer, key, lock_milliseconds=LOCK_MILLISECONDS) as transaction:
            if transaction.replayed is not None:
                before = await self._as_before(viewer, transaction)
                if before is None:
                    raise Conflict("What was created with this idempotency key has been deleted since; make a new key.")
                return before
            created = await queries.insert_workstation(transaction.connection, values)
            await transaction.remember(viewer, f"{created.id} {transaction.id}")
        return Arranged(redact(viewer.view, created), self._receipts.issue(transaction.id, created.place))

    async def edit(
        self,
        viewer: Viewer,
        workstation_id: int,
        values: Mapping[str, Any],
        expected_version: int | None = None,
        key: Idempotency | None = None,
    ) -> Arranged:
        """Raises Forbidden, also for a field that the viewer may not see, NotFound, VersionConflict, InvalidInput,
        NameTaken, ReadOnly."""
        require(viewer, *ARRANGING)
        require_fields(viewer.view, "Workstation", values, "Changing")
        return await self._edit(viewer, workstation_id, arranging.checked(values), expected_version, key)

    async def set_status(
        self,
        viewer: Viewer,
        workstation_id: int,
        status: Status,
        expected_version: int | None = None,
        key: Idempotency | None = None,
    ) -> Arranged:
        """Raises Forbidden, NotFound, VersionConflict, Conflict, ReadOnly."""

        return await self._edit(viewer, workstation_id, {"status": status}, expected_version, key)

    async def assign(
        self,
        viewer: Viewer,
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
            return arranging.assign(current, found[employee_key])

        return await self._change(viewer, workstation_id, rule, expected_version, key)

    async def release(
        self,
        viewer: Viewer,
        workstation_id: int,
        expected_version: int | None = None,
        key: Idempotency | None = None,
    ) -> Arranged:
        """Raises Forbidden, NotFound, VersionConflict, ReadOnly."""
        return await self._edit(viewer, workstation_id, {"status": Status.AVAILABLE}, expected_version, key)

    @tried_again
    async def delete(
        self,
        viewer: Viewer,
        workstation_id: int,
        expected_version: int | None = None,
        key: Idempotency | None = None,
    ) -> Removed:
        """Raises Forbidden, NotFound, VersionConflict, ReadOnly."""
        require(viewer, *ARRANGING)
        async with self._database.writing(viewer, key, lock_milliseconds=LOCK_MILLISECONDS) as transaction:
            if transaction.replayed is not None:
                return Removed(workstation_id, self._receipts.issue(int(transaction.replayed.split()[1])))
            current = await self._locked(transaction, workstation_id)
            with _showing(viewer, current):
                arranging.require_version(current, expected_version)
            await queries.delete_workstation(transaction.connection, workstation_id)
            await transaction.remember(viewer, f"{workstation_id} {transaction.id}")
        return Removed(workstation_id, self._receipts.issue(transaction.id, current.place))

    async def _edit(
        self,
        viewer: Viewer,
        workstation_id: int,
        changes: Mapping[str, Any],
        expected: int | None,
        key: Idempotency | None,
    ) -> Arranged:
        """In one round trip, together with others, where that does it; who is refused, moves it or has a key goes the
        long way."""
        require(viewer, *ARRANGING)
        guarded = arranging.conditional_update(changes)
        if guarded is not None and guarded.changes and "building" not in changes and key is None:
            written = await self._commits.write(queries.Update(viewer, workstation_id, guarded, expected))
            if written is not None:
                saved, transaction_id = written
                return Arranged(redact(viewer.view, saved), self._receipts.issue(transaction_id, saved.place))

        async def rule(current: Workstation, _: Transaction) -> Mapping[str, Any]:
            return arranging.edit(current, changes)

        return await self._change(viewer, workstation_id, rule, expected, key)

    @tried_again
    async def _change(
        self, viewer: Viewer, workstation_id: int, rule: Rule, expected: int | None, key: Idempotency | None
    ) -> Arranged:
        require(viewer, *ARRANGING)
        async with self._database.writing(viewer, key, lock_milliseconds=LOCK_MILLISECONDS) as transaction:
            if transaction.replayed is not None:
                answer = await self._as_before(viewer, transaction)
                if answer is None:
                    raise NotFound("The workstation of this idempotency key has been deleted since.")
                return answer
            saved = before = await self._locked(transaction, workstation_id)
            with _showing(viewer, before):
                arranging.require_version(before, expected)
                changes = await rule(before, transaction)
            if changes:
                saved = await queries.update_workstation(transaction.connection, workstation_id, changes)
            await transaction.remember(viewer, f"{workstation_id} {transaction.id}")
        return Arranged(redact(viewer.view, saved), self._receipts.issue(transaction.id, before.place, saved.place))

    async def _locked(self, transaction: Transaction, workstation_id: int) -> Workstation:
        current = await queries.locked_workstation(transaction.connection, workstation_id)
        if current is None:
            raise NotFound("There is no such workstation; it may have been deleted.")
        return current

    async def _as_before(self, viewer: Viewer, transaction: Transaction) -> Arranged | None:
        """The answer to a repeated request: the workstation that the first one changed, as it is now; None when it has
        been deleted since."""
        assert transaction.replayed is not None
        workstation_id, transaction_id = map(int, transaction.replayed.split())
        found = await queries.workstations_by_id(transaction.connection, [workstation_id])
        if workstation_id not in found:
            return None
        return Arranged(redact(viewer.view, found[workstation_id]), self._receipts.issue(transaction_id))


@contextmanager
def _showing(viewer: Viewer, current: Workstation) -> Iterator[None]:
    """A conflict in this block carries the present state, as the viewer may see it."""
    try:
        yield
    except Conflict as conflict:
        conflict.current = redact(viewer.view, current)
        raise
