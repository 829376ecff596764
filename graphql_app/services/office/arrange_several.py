"""Changing several workstations at once: all of them in one transaction, or none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from graphql_app.domain import arranging
from graphql_app.domain.access import redactor, require
from graphql_app.domain.arranging import Idempotency
from graphql_app.domain.caller import Caller
from graphql_app.domain.errors import Conflict, InvalidInput, NotFound, TooMany, about
from graphql_app.domain.workstation import Status, Workstation
from graphql_app.services.consistency import ConsistencyTokens
from graphql_app.services.office.arrange import ARRANGING, LOCK_MILLISECONDS, showing
from graphql_app.store import office as queries
from graphql_app.store.postgres.database import Database
from graphql_app.store.postgres.retry import retry_on_contention
from graphql_app.store.postgres.transaction import Transaction

AT_ONCE_MOST = 500


class StatusChange(NamedTuple):
    workstation_id: int
    status: Status
    expected_version: int | None = None


@dataclass(frozen=True, slots=True)
class ArrangedSeveral:
    """The rows just written, in the order asked for, redacted, and the consistency token of their transaction."""

    workstations: Sequence[Workstation]
    receipt: str


class ArrangeSeveral:
    """Use cases of those who may write. A Refusal carries the `index` of what it is about, counted from 0."""

    def __init__(self, database: Database, tokens: ConsistencyTokens) -> None:
        self._database = database
        self._tokens = tokens

    @retry_on_contention
    async def create(
        self, caller: Caller, values: Sequence[Mapping[str, Any]], key: Idempotency | None = None
    ) -> ArrangedSeveral:
        """Raises Forbidden, InvalidInput, TooMany, NameTaken, Conflict of idempotency keys, ReadOnly."""
        require(caller.viewer, *ARRANGING)
        _require_few(len(values))
        checked = [_checked(index, one) for index, one in enumerate(values)]
        async with self._database.writing(caller, key, lock_milliseconds=LOCK_MILLISECONDS) as transaction:
            if transaction.replayed is not None:
                return await self._as_before(caller, transaction)
            created = await queries.insert_workstations(transaction.connection, checked)
            await _remember(caller, transaction, created)
        return self._arranged(caller, created, transaction.id)

    @retry_on_contention
    async def set_statuses(
        self, caller: Caller, changes: Sequence[StatusChange], key: Idempotency | None = None
    ) -> ArrangedSeveral:
        """Raises Forbidden, InvalidInput, TooMany, NotFound, VersionConflict, Conflict, ReadOnly."""
        require(caller.viewer, *ARRANGING)
        _require_few(len(changes))
        _require_distinct(changes)
        async with self._database.writing(caller, key, lock_milliseconds=LOCK_MILLISECONDS) as transaction:
            if transaction.replayed is not None:
                return await self._as_before(caller, transaction)
            ids = [change.workstation_id for change in changes]
            current = await queries.locked_workstations(transaction.connection, ids)
            for status, group in _decided(caller, changes, current).items():
                written = arranging.with_status(status)
                current |= await queries.update_workstations(transaction.connection, group, written)
            saved = [current[one] for one in ids]
            await _remember(caller, transaction, saved)
        return self._arranged(caller, saved, transaction.id)

    async def _as_before(self, caller: Caller, transaction: Transaction) -> ArrangedSeveral:
        """Returns the answer to a repeated request: the workstations of the first request, as they are now."""
        assert transaction.replayed is not None
        *ids, transaction_id = map(int, transaction.replayed.split())
        found = await queries.workstations_by_id(transaction.connection, ids)
        if len(found) < len(ids):
            raise Conflict("Of what this idempotency key was used for some has been deleted since; make a new key.")
        return self._arranged(caller, [found[one] for one in ids], transaction_id)

    def _arranged(self, caller: Caller, saved: Sequence[Workstation], transaction_id: int) -> ArrangedSeveral:
        receipt = self._tokens.issue(transaction_id, *{one.place for one in saved})
        return ArrangedSeveral(list(map(redactor(caller.view), saved)), receipt)


async def _remember(caller: Caller, transaction: Transaction, saved: Sequence[Workstation]) -> None:
    await transaction.remember(caller, " ".join(str(one) for one in [*(desk.id for desk in saved), transaction.id]))


def _require_few(count: int) -> None:
    if not count:
        raise InvalidInput("`input` must not be empty.", field="input")
    if count > AT_ONCE_MOST:
        message = f"At most {AT_ONCE_MOST} workstations are changed at once, {count} were given."
        raise TooMany(message, measure="workstations at once", limit=AT_ONCE_MOST, asked=count)


def _checked(index: int, values: Mapping[str, Any]) -> dict[str, Any]:
    with about(index):
        return arranging.checked(values)


def _require_distinct(changes: Sequence[StatusChange]) -> None:
    met: set[int] = set()
    for index, change in enumerate(changes):
        if change.workstation_id in met:
            raise InvalidInput("This workstation is named twice.", field="id", index=index)
        met.add(change.workstation_id)


def _decided(
    caller: Caller, changes: Sequence[StatusChange], current: Mapping[int, Workstation]
) -> dict[Status, list[int]]:
    """Which workstations get which status. Raises a Refusal about the first that may not."""
    decided: dict[Status, list[int]] = {}
    for index, change in enumerate(changes):
        with about(index):
            before = current.get(change.workstation_id)
            if before is None:
                raise NotFound("There is no such workstation; it may have been deleted.")
            with showing(caller, before):
                arranging.require_version(before, change.expected_version)
                arranging.change_status(before, change.status)
        decided.setdefault(change.status, []).append(change.workstation_id)
    return decided
