"""Reading the office: lists, single things, figures. All of it leaves redacted for the view that asked."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from graphql_app.aio.batch_loader import BatchLoader
from graphql_app.aio.deferred import Deferred
from graphql_app.domain.access import Scope, Viewer, redact, redact_employee, redactor, require, require_fields, seen
from graphql_app.domain.caller import Caller
from graphql_app.domain.filters import WorkstationFilter, checked_filter
from graphql_app.domain.names import normal
from graphql_app.domain.paging import Order, Page
from graphql_app.domain.workstation import (
    DEPARTMENT,
    EMPLOYEE,
    FLOOR,
    Counts,
    Department,
    Employee,
    Floor,
    Place,
    WholeFloor,
    Workstation,
)
from graphql_app.live.floors.cached_floor import CachedFloor
from graphql_app.live.floors.projection import FloorProjection
from graphql_app.services.cursors import PageCursors
from graphql_app.services.listing import Listing, Paging
from graphql_app.services.office.table import Table
from graphql_app.services.reads import reads, reads_floors, reads_ids, reads_workstations
from graphql_app.store import office as queries
from graphql_app.store.postgres.database import Database

T = TypeVar("T")


class Browse:
    """Use cases of readers. `fields` says which fields of Workstation will be looked at; the rest is not fetched."""

    def __init__(
        self,
        database: Database,
        cursors: PageCursors,
        *,
        page_most: int,
        floor_projection: FloorProjection | None = None,
    ) -> None:
        self._database = database
        self._direct = database.direct
        self._floor_projection = floor_projection
        self._cursors = cursors
        self._page_most = page_most
        self._by_id: BatchLoader[Workstation] = BatchLoader(partial(queries.workstations_by_id, self._direct))

    async def workstations(
        self,
        caller: Caller,
        matching: WorkstationFilter,
        orders: Sequence[Order],
        paging: Paging,
        fields: Collection[str] = queries.FIELDS,
        *,
        is_counted: bool = False,
    ) -> Listing[Workstation]:
        """A page of workstations, and how many there are on all pages, if that is to be counted.

        Raises Forbidden for a filter or an order that would tell of a hidden field.
        """
        self._require_readable(caller, matching)
        require_fields(caller.view, "Workstation", [order.field.value for order in orders])
        orders = queries.complete(orders)
        listing = ["workstations", matching.normalised(), [(o.field.value, o.descending) for o in orders]]
        window = paging.window(self._cursors, listing, most=self._page_most)
        fields = seen(caller.view, fields)
        reads_workstations(matching)
        page = await queries.page_of_workstations(self._direct, matching, orders, window, fields, is_counted=is_counted)

        def seal(workstation: Workstation) -> str:
            return self._cursors.encode(queries.key_of(workstation, orders), listing)

        return _listing(page, Table(page.rows, caller.view), seal)

    async def workstation_counts(
        self, caller: Caller, matching: WorkstationFilter, group: str | None = None
    ) -> list[Counts]:
        """Returns how many are in each status, in all or for each building, floor or department."""
        self._require_readable(caller, matching)
        reads_workstations(matching)
        cached = None if group else await self._cached_floor_of(caller, matching)
        if cached is not None:
            return [cached.counts_matching(matching)]
        return await queries.workstation_counts(self._database, matching, group)

    async def workstation(
        self, caller: Caller, key: int, fields: Collection[str] = queries.FIELDS
    ) -> Workstation | None:
        """Returns the workstation; None when there is none."""
        require(caller.viewer, Scope.READ)
        reads_ids([key])
        found = self._workstation(caller, key, fields)
        return await found.value() if isinstance(found, Deferred) else found

    def deferred_workstation(
        self, caller: Caller, key: int, fields: Collection[str]
    ) -> Workstation | Deferred[Workstation | None]:
        """Returns the workstation at once if this process has its present state in memory.

        Otherwise returns a Deferred, which is loaded by one statement for all who ask at that moment.
        """
        require(caller.viewer, Scope.READ)
        reads_ids([key])
        return self._workstation(caller, key, fields)

    def _workstation(
        self, caller: Caller, key: int, fields: Collection[str]
    ) -> Workstation | Deferred[Workstation | None]:
        floor_projection = None if caller.reads_latest else self._floor_projection
        if floor_projection is not None and (known := floor_projection.workstation(key, caller.view)) is not None:
            return known
        fields = seen(caller.view, fields)

        def made(fetched: asyncio.Future[Mapping[int, Workstation]]) -> Workstation | None:
            found = fetched.result().get(key)
            if found is None:
                return None
            if floor_projection is not None and found.place is not None:
                floor_projection.want((found.place,))
            return redact(caller.view, found)

        return Deferred(lambda: self._by_id.ask((key,), fields), made)

    async def workstations_by_place(
        self, caller: Caller, places: Collection[Place], fields: Collection[str] = queries.FIELDS
    ) -> Mapping[Place, Sequence[Workstation]]:
        require(caller.viewer, Scope.READ)
        reads_floors(*places)
        cached = await self._cached_floors(caller, places)
        if cached is not None:
            return {place: floor.workstations(caller.view) for place, floor in cached.items()}
        found = await queries.workstations_by_place(self._direct, places, seen(caller.view, fields))
        return {place: list(map(redactor(caller.view), group)) for place, group in found.items()}

    async def whole_floors(
        self, caller: Caller, places: Collection[Place], fields: Collection[str] = queries.FIELDS
    ) -> Mapping[Place, WholeFloor]:
        """Returns floors with their workstations, in one statement. Unknown places are left out."""
        require(caller.viewer, Scope.READ)
        reads(FLOOR)
        reads_floors(*places)
        cached = await self._cached_floors(caller, places)
        if cached is not None:
            return {place: _whole(floor.floor, floor.workstations(caller.view)) for place, floor in cached.items()}
        found = await queries.whole_floors(self._direct, places, seen(caller.view, fields))
        return {place: _whole(floor, Table(group, caller.view, place)) for place, (floor, group) in found.items()}

    async def counts_by_place(self, caller: Caller, places: Collection[Place]) -> Mapping[Place, Counts]:
        require(caller.viewer, Scope.READ)
        reads_floors(*places)
        cached = await self._cached_floors(caller, places)
        if cached is not None:
            return {place: floor.counts() for place, floor in cached.items()}
        return await queries.counts_by_place(self._database, places)

    async def floors(self, caller: Caller, building: str | None = None) -> Sequence[Floor]:
        require(caller.viewer, Scope.READ)
        reads(FLOOR)
        return await queries.all_floors(self._database, building and normal(building))

    async def floors_by_place(self, caller: Caller, places: Collection[Place]) -> Mapping[Place, Floor]:
        require(caller.viewer, Scope.READ)
        reads(FLOOR)
        cached = await self._cached_floors(caller, places)
        if cached is not None:
            return {place: floor.floor for place, floor in cached.items()}
        return await queries.floors_by_place(self._database, places)

    async def floors_by_id(self, caller: Caller, ids: Collection[int]) -> Mapping[int, Floor]:
        require(caller.viewer, Scope.READ)
        reads(FLOOR)
        known = (
            self._floor_projection.floors_by_id(ids)
            if self._floor_projection is not None and not caller.reads_latest
            else {}
        )
        missing = [key for key in ids if key not in known]
        if not missing:
            return known
        return {**known, **await queries.floors_by_id(self._database, missing)}

    async def departments(self, caller: Caller) -> Sequence[Department]:
        require(caller.viewer, Scope.READ)
        reads(DEPARTMENT)
        return await queries.all_departments(self._database)

    async def departments_by_id(self, caller: Caller, ids: Collection[int]) -> Mapping[int, Department]:
        require(caller.viewer, Scope.READ)
        reads(DEPARTMENT)
        return await queries.departments_by_id(self._database, ids)

    async def employees(
        self, caller: Caller, paging: Paging, department_id: int | None = None, name_contains: str | None = None
    ) -> Listing[Employee]:
        """Returns a page of employees, by name."""
        require(caller.viewer, Scope.READ)
        reads(EMPLOYEE, DEPARTMENT)
        name_contains = checked_filter(WorkstationFilter(name_contains=name_contains)).name_contains
        listing = ["employees", department_id, name_contains]
        window = paging.window(self._cursors, listing, most=self._page_most)
        page = await queries.page_of_employees(self._database, window, department_id, name_contains)
        shown = [redact_employee(caller.view, employee) for employee in page.rows]
        return _listing(page, shown, lambda one: self._cursors.encode([one.name, str(one.key)], listing))

    async def employees_by_key(self, caller: Caller, keys: Collection[UUID]) -> Mapping[UUID, Employee]:
        require(caller.viewer, Scope.READ)
        reads(EMPLOYEE, DEPARTMENT)
        found = await queries.employees_by_key(self._database, keys)
        return {key: redact_employee(caller.view, employee) for key, employee in found.items()}

    async def holders(self, caller: Caller, ids: Collection[int]) -> Mapping[int, Employee]:
        """Returns employees by the rows that bookings name; the bookings say to whom they may be shown."""
        reads(EMPLOYEE, DEPARTMENT)
        found = await queries.employees_by_row(self._database, ids)
        return {row: redact_employee(caller.view, employee) for row, employee in found.items()}

    async def own_employee(self, viewer: Viewer) -> Employee | None:
        """Returns the viewer's own record; the own number is in the viewer itself, whatever the scopes."""
        if viewer.employee_key is None:
            return None
        reads(EMPLOYEE, DEPARTMENT)
        found = await queries.employees_by_key(self._database, [viewer.employee_key])
        own = found.get(viewer.employee_key)
        return redact_employee(viewer.view, own) if own is not None else None

    async def _cached_floors(self, caller: Caller, places: Collection[Place]) -> Mapping[Place, CachedFloor] | None:
        """Returns the floors from memory; None when the viewer asks for the latest, or memory is stale."""
        if self._floor_projection is None or caller.reads_latest:
            return None
        return await self._floor_projection.floors(places)

    async def _cached_floor_of(self, caller: Caller, matching: WorkstationFilter) -> CachedFloor | None:
        """Returns the one floor that the filter stays on, from memory; None where _cached_floors returns None."""
        cached = await self._cached_floors(caller, [matching.place]) if matching.place is not None else None
        return next(iter(cached.values())) if cached else None

    def _require_readable(self, caller: Caller, matching: WorkstationFilter) -> None:
        require(caller.viewer, Scope.READ)
        require_fields(caller.view, "Workstation", checked_filter(matching).guarded_fields())


def _listing(page: Page[Any], shown: Sequence[T], seal: Callable[[T], str]) -> Listing[T]:
    return Listing(shown, seal, has_next=page.has_next, has_previous=page.has_previous, total_count=page.total)


def _whole(floor: Floor, workstations: Sequence[Workstation]) -> WholeFloor:
    return WholeFloor(floor.id, floor.building, floor.number, floor.name, workstations)
