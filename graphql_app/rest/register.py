"""/api/buildings, /api/floors, /api/departments and /api/employees: the register, for those who speak REST."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response

from graphql_app.domain import identifiers
from graphql_app.domain.access import require, require_fields
from graphql_app.domain.caller import Caller
from graphql_app.domain.errors import NotFound, PreconditionFailed, VersionConflict
from graphql_app.domain.etags import permits
from graphql_app.domain.office import BUILDING, DEPARTMENT, EMPLOYEE, FLOOR, OfficeKind
from graphql_app.rest import register_models as models
from graphql_app.rest import shapes
from graphql_app.rest.conditions import Conditional, Conditions, idempotency, named, tag_of
from graphql_app.rest.models import Model
from graphql_app.rest.openapi import problems
from graphql_app.rest.replies import json_reply
from graphql_app.rest.resource import Resource
from graphql_app.rest.signing_in import reader
from graphql_app.services.consistency import ConsistencyTokens
from graphql_app.services.identity.admission import Admission
from graphql_app.services.listing import Paging
from graphql_app.services.office.browse import Browse
from graphql_app.services.office.directory import Directory
from graphql_app.services.office.register import Recorded, Register

Id = Annotated[str, Path(description="The global id.")]
IdempotencyKey = Annotated[str | None, Header(description="A repeated request does nothing twice.")]


@dataclass(frozen=True, slots=True)
class RegisterResource:
    """One kind of the register: its path, how an id is read and a value is shown, and its bodies."""

    kind: OfficeKind
    path: str
    key: Callable[[str], Any]
    show: Callable[[Any], dict[str, Any]]
    shown: type[Model]
    new: type[Model]
    changes: type[Model]


RESOURCES = (
    RegisterResource(
        BUILDING,
        "/api/buildings",
        lambda id: identifiers.row(id, "Building"),
        shapes.building,
        models.BuildingShown,
        models.NewBuilding,
        models.BuildingChanges,
    ),
    RegisterResource(
        FLOOR,
        "/api/floors",
        lambda id: identifiers.row(id, "Floor"),
        shapes.floor,
        models.FloorShown,
        models.NewFloor,
        models.FloorChanges,
    ),
    RegisterResource(
        DEPARTMENT,
        "/api/departments",
        lambda id: identifiers.row(id, "Department"),
        shapes.registered_department,
        models.RegisteredDepartment,
        models.NewDepartment,
        models.DepartmentChanges,
    ),
    RegisterResource(
        EMPLOYEE,
        "/api/employees",
        lambda id: identifiers.public_key(id, "Employee"),
        shapes.registered_employee,
        models.RegisteredEmployee,
        models.NewEmployee,
        models.EmployeeChanges,
    ),
)


def routes(
    browse: Browse, directory: Directory, register: Register, admission: Admission, tokens: ConsistencyTokens
) -> APIRouter:
    router = APIRouter(tags=["register"], route_class=Resource)
    calling = reader(admission, tokens)
    lists(router, browse, directory, calling)
    for resource in RESOURCES:
        single(router, resource, directory, register, calling)
    return router


def lists(router: APIRouter, browse: Browse, directory: Directory, calling: Any) -> None:
    """Adds the lists. Those that are short are whole."""
    Calling = Annotated[Caller, Depends(calling)]  # noqa: N806  # a type, as its name says

    @router.get("/api/buildings", summary="All buildings, by name", response_model=models.BuildingsListed)
    async def list_buildings(caller: Calling) -> Response:
        return json_reply({"items": list(map(shapes.building, await directory.buildings(caller)))})

    @router.get("/api/floors", summary="The floors of one building, or of all", response_model=models.FloorsListed)
    async def list_floors(
        caller: Calling, building: Annotated[str | None, Query(description="Name of the building.")] = None
    ) -> Response:
        found: Any = await browse.floors(caller, building)
        return json_reply({"items": list(map(shapes.floor, found))})

    @router.get("/api/departments", summary="All departments, by name", response_model=models.DepartmentsListed)
    async def list_departments(caller: Calling) -> Response:
        found: Any = await browse.departments(caller)
        return json_reply({"items": list(map(shapes.registered_department, found))})

    @router.get("/api/employees", summary="A page of employees, by name", response_model=models.EmployeesListed)
    async def list_employees(
        request: Request,
        caller: Calling,
        department: Annotated[str | None, Query(description="Of this department (id).")] = None,
        name: Annotated[str | None, Query(description="Part of the name.")] = None,
        first: Annotated[int | None, Query(description="How many; 50 unless told, at most 500.")] = None,
        after: Annotated[str | None, Query(description="A cursor; `next` and `Link` carry it.")] = None,
    ) -> Response:
        of = None if department is None else identifiers.row(department, "Department", "department")
        listing = await browse.employees(caller, Paging(first=first, after=after), of, name)
        following = None
        if listing.has_next_page and listing.end_cursor is not None:
            url = request.url.include_query_params(after=listing.end_cursor)
            following = f"{url.path}?{url.query}"
        body = {"items": list(map(shapes.registered_employee, listing.nodes)), "next": following}
        return json_reply(body, headers={"Link": f'<{following}>; rel="next"'} if following else {})


def single(
    router: APIRouter, resource: RegisterResource, directory: Directory, register: Register, calling: Any
) -> None:
    """Adds what can be done with one of a kind."""
    Calling = Annotated[Caller, Depends(calling)]  # noqa: N806  # types, as their names say
    New, Changes = resource.new, resource.changes  # noqa: N806
    kind, entity = resource.kind, resource.kind.entity

    async def one(caller: Caller, identifier: str) -> Any:
        key = resource.key(identifier)
        found = await directory.registered(caller, kind, [key])
        if key not in found:
            raise NotFound("There is no such thing; it may have been deleted.")
        return found[key]

    async def seen_version(caller: Caller, identifier: str, given: Conditions) -> int | None:
        """The version for which the conditions hold; None where any does. Raises PreconditionFailed."""
        # Conditions are looked at when all else would let the request through (RFC 9110 13.2.1).
        require(caller.viewer, kind.scope)
        if given.are_none:
            return None
        require_fields(caller.view, kind.type_name, ["version"], "A condition on")
        current = await one(caller, identifier)
        given.require(tag_of(resource.show(current)))
        version: int = current.version
        return version

    def changed(caller: Caller, done: Recorded, status: int) -> Response:
        shown = resource.show(done.value)
        headers = {"ETag": tag_of(shown), **named(caller, done.receipt)}
        if status == 201:
            headers["Location"] = f"{resource.path}/{shown['id']}"
        return json_reply(shown, status, headers)

    @router.get(
        f"{resource.path}/{{id}}",
        summary=f"One {entity}",
        response_model=resource.shown,
        responses={304: {"description": "It is one of `If-None-Match` still."}, **problems(404, 412)},
    )
    async def get_one(id: Id, caller: Calling, given: Conditional) -> Response:
        shown = resource.show(await one(caller, id))
        tag = tag_of(shown)
        Conditions(given.if_match).require(tag)
        headers = {"ETag": tag, "Cache-Control": "private, no-cache", "Vary": "Authorization"}
        if not permits(None, given.if_none_match, tag):
            return Response(status_code=304, headers=headers)
        return json_reply(shown, headers=headers)

    @router.post(
        resource.path,
        status_code=201,
        summary=f"Add one {entity}",
        response_model=resource.shown,
        responses=problems(409, 412),
    )
    async def create_one(
        given: New,  # type: ignore[valid-type]  # of the resource
        caller: Calling,
        conditional: Conditional,
        idempotency_key: IdempotencyKey = None,
    ) -> Response:
        require(caller.viewer, kind.scope)
        conditional.require(None)  # the list has no tag
        values = models.register_values(given, is_new=True)
        key = idempotency(idempotency_key, f"POST {resource.path}", values)
        return changed(caller, await register.create(caller, kind, values, key), 201)

    @router.put(
        f"{resource.path}/{{id}}",
        summary=f"Change one {entity}: what is left out stays",
        response_model=resource.shown,
        responses=problems(404, 409, 412),
    )
    async def update_one(
        id: Id,
        given: Changes,  # type: ignore[valid-type]  # of the resource
        caller: Calling,
        conditional: Conditional,
    ) -> Response:
        expected = await seen_version(caller, id, conditional)
        values = models.register_values(given, is_new=False)
        try:
            done = await register.edit(caller, kind, resource.key(id), values, expected)
        except VersionConflict as conflict:
            raise PreconditionFailed("Somebody else changed it at the same moment; read it again.") from conflict
        return changed(caller, done, 200)

    @router.delete(
        f"{resource.path}/{{id}}",
        status_code=204,
        summary=f"Delete one {entity}: not while others refer to it",
        responses=problems(404, 409, 412),
    )
    async def delete_one(id: Id, caller: Calling, conditional: Conditional) -> Response:
        expected = await seen_version(caller, id, conditional)
        try:
            done = await register.delete(caller, kind, resource.key(id), expected)
        except VersionConflict as conflict:
            raise PreconditionFailed("Somebody else changed it at the same moment; read it again.") from conflict
        return Response(status_code=204, headers=named(caller, done.receipt))
