"""Reading the office's register: buildings, what belongs to what, and versions. All of it leaves redacted."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar
from uuid import UUID

from graphql_app.domain.access import (
    Scope,
    employee_redactor,
    redact,
    redactor,
    require,
    require_fields,
    seen,
)
from graphql_app.domain.caller import Caller
from graphql_app.domain.filters import WorkstationFilter
from graphql_app.domain.office import BUILDING, DEPARTMENT, EMPLOYEE, FLOOR, Building, OfficeKind
from graphql_app.domain.paging import Page, Window
from graphql_app.domain.workstation import Employee, Floor, Workstation
from graphql_app.services.cursors import PageCursors
from graphql_app.services.listing import Listing, Paging
from graphql_app.services.reads import reads, reads_workstations
from graphql_app.store import office as queries
from graphql_app.store.postgres.database import Database

T = TypeVar("T")


class Directory:
    """Use cases of readers, for many keys at once: each is one statement."""

    def __init__(self, database: Database, cursors: PageCursors, *, page_most: int) -> None:
        self._database = database
        self._cursors = cursors
        self._page_most = page_most

    async def buildings(self, caller: Caller) -> Sequence[Building]:
        """All buildings, by name. Raises Forbidden."""
        require(caller.viewer, Scope.READ)
        reads(BUILDING.entity)
        return await queries.all_buildings(self._database)

    async def floors_of_buildings(self, caller: Caller, names: Collection[str]) -> Mapping[str, Sequence[Floor]]:
        """The floors of each building, by number."""
        require(caller.viewer, Scope.READ)
        reads(FLOOR.entity)
        return await queries.floors_of_buildings(self._database, names)

    async def time_zones(self, caller: Caller, ids: Collection[int]) -> Mapping[int, str]:
        """The time zones of those floors that there are: those of their buildings. Raises Forbidden."""
        require(caller.viewer, Scope.READ)
        reads(FLOOR.entity, BUILDING.entity)
        return await queries.time_zones(self._database, ids)

    async def registered(self, caller: Caller, kind: OfficeKind, keys: Collection[Any]) -> Mapping[Any, Any]:
        """Those of the kind that there are, by their keys."""
        require(caller.viewer, Scope.READ)
        reads(kind.entity)
        found = await queries.registered(self._database, kind, keys)
        if kind is not EMPLOYEE:
            return found
        redacted = employee_redactor(caller.view)
        return {key: redacted(one) for key, one in found.items()}

    async def versions(self, caller: Caller, kind: OfficeKind, keys: Collection[Any]) -> Mapping[Any, int]:
        """The versions of those that there are. Raises Forbidden, also where they are hidden from the viewer."""
        require(caller.viewer, Scope.READ)
        require_fields(caller.view, kind.type_name, ["version"], "Reading")
        reads(kind.entity)
        return {key: one.version for key, one in (await queries.registered(self._database, kind, keys)).items()}

    async def employees_of_departments(
        self, caller: Caller, ids: Collection[int], paging: Paging
    ) -> Mapping[int, Listing[Employee]]:
        """The same page of the employees of each department, by name. Raises Forbidden, InvalidInput, TooMany,
        UnknownCursor for one of another list."""
        require(caller.viewer, Scope.READ)
        reads(EMPLOYEE.entity, DEPARTMENT.entity)
        window = self._window("employees", ids, paging)
        pages = await queries.employees_of_departments(self._database, ids, window)
        redacted = employee_redactor(caller.view)

        def key(employee: Employee) -> list[Any]:
            return [employee.name, str(employee.key)]

        return {one: self._listing("employees", one, page, redacted, key) for one, page in pages.items()}

    async def workstations_of_departments(
        self, caller: Caller, ids: Collection[int], paging: Paging, fields: Collection[str], *, is_counted: bool
    ) -> Mapping[int, Listing[Workstation]]:
        """The same page of the workstations of each department, by id; raises as employees_of_departments does."""
        require(caller.viewer, Scope.READ)
        reads_workstations(WorkstationFilter(department_ids=frozenset(ids)))
        window = self._window("workstations", ids, paging)
        pages = await queries.workstations_of_departments(self._database, ids, window, seen(caller.view, fields))
        totals = await queries.workstation_totals(self._database, ids) if is_counted else {}
        redacted = redactor(caller.view)

        def key(workstation: Workstation) -> list[Any]:
            return [workstation.id]

        return {
            one: self._listing("workstations", one, replace(page, total=totals.get(one)), redacted, key)
            for one, page in pages.items()
        }

    async def seats(
        self, caller: Caller, keys: Collection[UUID], fields: Collection[str]
    ) -> Mapping[UUID, Workstation]:
        """Where each of the employees sits who does: the workstation of the lowest id, where there are several."""
        require(caller.viewer, Scope.READ)
        reads_workstations(WorkstationFilter())
        found = await queries.seats(self._database, keys, seen(caller.view, fields))
        return {key: redact(caller.view, one) for key, one in found.items()}

    def _window(self, what: str, ids: Collection[int], paging: Paging) -> Window:
        """What is meant of each list. A cursor is of one department's: it is refused where another's is asked for."""
        windows = [paging.window(self._cursors, [what, "of", one], most=self._page_most) for one in ids]
        return windows[0]

    def _listing(
        self, what: str, of: int, page: Page[T], redacted: Callable[[T], T], key: Callable[[T], list[Any]]
    ) -> Listing[T]:
        def seal(one: T) -> str:
            return self._cursors.encode(key(one), [what, "of", of])

        nodes = list(map(redacted, page.rows))
        return Listing(nodes, seal, has_next=page.has_next, has_previous=page.has_previous, total_count=page.total)
