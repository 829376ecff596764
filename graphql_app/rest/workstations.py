"""/api/workstations: the same use cases as GraphQL, for those who speak REST."""

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response

from graphql_app.domain import identifiers
from graphql_app.domain.access import Scope, require
from graphql_app.domain.caller import Caller, Consistency
from graphql_app.domain.errors import NotFound, PreconditionFailed, VersionConflict
from graphql_app.domain.etags import permits
from graphql_app.domain.filters import WorkstationFilter
from graphql_app.domain.workstation import Status, Workstation
from graphql_app.rest import shapes
from graphql_app.rest.conditions import Conditional, Conditions, idempotency, named, tag_of
from graphql_app.rest.models import (
    Integer,
    Listed,
    NewWorkstation,
    Shown,
    StatusCounts,
    StatusName,
    WorkstationChanges,
    values_of,
)
from graphql_app.rest.openapi import problems
from graphql_app.rest.replies import json_reply
from graphql_app.rest.resource import Resource
from graphql_app.rest.signing_in import reader
from graphql_app.services.consistency import ConsistencyTokens
from graphql_app.services.identity.admission import Admission
from graphql_app.services.listing import Paging
from graphql_app.services.office.arrange import Arrange, Arranged
from graphql_app.services.office.browse import Browse

PATH = "/api/workstations"
Id = Annotated[str, Path(description="The global id.")]


def matching(
    building: Annotated[str | None, Query(description="In this building.")] = None,
    floor: Annotated[Integer | None, Query(description="On floors of this number.")] = None,
    department: Annotated[list[str] | None, Query(description="Of one of these departments (ids).")] = None,
    status: Annotated[list[StatusName] | None, Query(description="In one of these statuses.")] = None,
    name: Annotated[str | None, Query(description="Part of the name.")] = None,
) -> WorkstationFilter:
    """Parses the filter in a query string. Raises InvalidInput."""
    return WorkstationFilter(
        building=building,
        floor_number=floor,
        department_ids=frozenset(identifiers.row(i, "Department", "department") for i in department)
        if department
        else None,
        statuses=frozenset(Status[one] for one in status) if status else None,
        name_contains=name,
    )


Matching = Annotated[WorkstationFilter, Depends(matching)]


def etag(shown: Workstation) -> str:
    """Returns the tag of what this caller is shown, so that it tells nothing of what is hidden."""
    return tag_of(shapes.workstation(shown))


def routes(browse: Browse, arrange: Arrange, admission: Admission, tokens: ConsistencyTokens) -> APIRouter:
    router = APIRouter(prefix=PATH, tags=["workstations"], route_class=Resource)
    Calling = Annotated[Caller, Depends(reader(admission, tokens))]  # noqa: N806  # a type, as its name says

    async def one(caller: Caller, identifier: str) -> Workstation:
        row = identifiers.row(identifier, "Workstation")
        found = await browse.workstation(caller, row)
        if found is None:
            raise NotFound("There is no such workstation; it may have been deleted.")
        return found

    async def seen_version(caller: Caller, identifier: str, given: Conditions) -> int | None:
        """The version for which the conditions hold; None where any does. Raises PreconditionFailed."""
        # Conditions are looked at when all else would let the request through (RFC 9110 13.2.1).
        require(caller.viewer, Scope.WRITE)
        if given.are_none:
            return None
        # The client may have seen a newer one than this process keeps.
        current = await one(caller._replace(consistency=Consistency.LATEST), identifier)
        given.require(etag(current))
        return current.version

    @router.get("", summary="A page of workstations", response_model=Listed)
    async def list_workstations(
        request: Request,
        caller: Calling,
        matching: Matching,
        first: Annotated[int | None, Query(description="How many; 50 unless told, at most 500.")] = None,
        after: Annotated[str | None, Query(description="A cursor; `next` and `Link` carry it.")] = None,
    ) -> Response:
        listing = await browse.workstations(caller, matching, [], Paging(first=first, after=after))
        following = None
        if listing.has_next_page and listing.end_cursor is not None:
            url = request.url.include_query_params(after=listing.end_cursor)
            following = f"{url.path}?{url.query}"
        body = {"items": [shapes.workstation(row) for row in listing.nodes], "next": following}
        return json_reply(body, headers={"Link": f'<{following}>; rel="next"'} if following else {})

    @router.get("/stats", summary="How many workstations are in each status", response_model=list[StatusCounts])
    async def count_workstations(
        caller: Calling,
        matching: Matching,
        group: Annotated[
            str | None, Query(pattern="^(building|floor|department)$", description="Count by this.")
        ] = None,
    ) -> Response:
        found = await browse.workstation_counts(caller, matching, group)
        return json_reply([shapes.counts(counts) for counts in found])

    @router.get(
        "/{id}",
        summary="One workstation",
        response_model=Shown,
        responses={304: {"description": "It is one of `If-None-Match` still."}, **problems(404, 412)},
    )
    async def get_workstation(id: Id, caller: Calling, given: Conditional) -> Response:
        found = await one(caller, id)
        tag = etag(found)
        Conditions(given.if_match).require(tag)
        headers = {"ETag": tag, "Cache-Control": "private, no-cache", "Vary": "Authorization"}
        if not permits(None, given.if_none_match, tag):
            return Response(status_code=304, headers=headers)
        return json_reply(shapes.workstation(found), headers=headers)

    @router.post(
        "", status_code=201, summary="Put up a workstation", response_model=Shown, responses=problems(409, 412)
    )
    async def create_workstation(
        given: NewWorkstation,
        caller: Calling,
        conditional: Conditional,
        idempotency_key: Annotated[str | None, Header(description="A repeated request does nothing twice.")] = None,
    ) -> Response:
        require(caller.viewer, Scope.WRITE)
        conditional.require(None)  # the list has no tag
        values = values_of(given)
        done = await arrange.create(caller, values, idempotency(idempotency_key, "POST", values))
        headers = {"Location": f"{PATH}/{identifiers.global_id('Workstation', done.workstation.id)}"}
        return changed(caller, done, 201, headers)

    @router.put(
        "/{id}",
        summary="Change a workstation: what is left out stays",
        response_model=Shown,
        responses=problems(404, 409, 412),
    )
    async def update_workstation(
        id: Id, given: WorkstationChanges, caller: Calling, conditional: Conditional
    ) -> Response:
        expected = await seen_version(caller, id, conditional)
        try:
            done = await arrange.edit(caller, identifiers.row(id, "Workstation"), values_of(given), expected)
        except VersionConflict as conflict:
            raise PreconditionFailed("Somebody else changed it at the same moment; read it again.") from conflict
        return changed(caller, done, 200, {})

    @router.delete("/{id}", status_code=204, summary="Take a workstation away", responses=problems(404, 409, 412))
    async def delete_workstation(id: Id, caller: Calling, conditional: Conditional) -> Response:
        expected = await seen_version(caller, id, conditional)
        try:
            done = await arrange.delete(caller, identifiers.row(id, "Workstation"), expected)
        except VersionConflict as conflict:
            raise PreconditionFailed("Somebody else changed it at the same moment; read it again.") from conflict
        return Response(status_code=204, headers=named(caller, done.receipt))

    return router


def changed(caller: Caller, done: Arranged, status: int, headers: dict[str, str]) -> Response:
    own = {"ETag": etag(done.workstation), **named(caller, done.receipt)}
    return json_reply(shapes.workstation(done.workstation), status, {**own, **headers})
