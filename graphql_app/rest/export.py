"""/api/export/{kind}: the office as files that an import reads, streamed as they are read."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request, Response
from starlette.responses import StreamingResponse

from graphql_app.domain.caller import Caller
from graphql_app.domain.exporting import ExportFormat
from graphql_app.domain.importing import ImportKind
from graphql_app.rest.openapi import problems
from graphql_app.rest.resource import Resource
from graphql_app.rest.signing_in import SignInDependency
from graphql_app.server.head import is_bodiless
from graphql_app.services.identity.admission import Admission
from graphql_app.services.importing.exporting import Exporting

EXCEL: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MEDIA: Final = {
    ExportFormat.CSV: "text/csv; charset=utf-8",
    ExportFormat.JSON: "application/json",
    ExportFormat.XLSX: EXCEL,
}


def routes(exporting: Exporting, admission: Admission) -> APIRouter:
    router = APIRouter(tags=["export"], route_class=Resource)
    Calling = Annotated[Caller, Depends(SignInDependency(admission))]  # noqa: N806  # a type, as its name says

    @router.get(
        "/api/export/{kind}",
        summary="All buildings, floors, departments, employees or workstations, as a file",
        response_class=Response,
        responses={
            200: {
                "description": "What `graphql-app import` reads, as of one moment, without what you may not see.",
                "content": {
                    "text/csv": {"schema": {"type": "string"}},
                    "application/json": {"schema": {"type": "object"}},
                    EXCEL: {"schema": {"type": "string", "format": "binary"}},
                },
            },
            **problems(429),
        },
    )
    async def export(
        request: Request,
        caller: Calling,
        kind: ImportKind,
        form: Annotated[
            ExportFormat, Query(alias="format", description="csv, json, or xlsx where it is installed.")
        ] = (ExportFormat.CSV),
    ) -> Response:
        pieces = exporting.begin(caller, [kind], form).pieces()
        headers = {
            "Content-Disposition": f'attachment; filename="{kind}.{form}"',
            "Cache-Control": "no-store",
            "Vary": "Authorization",
        }
        if is_bodiless(request.scope):
            return Response(media_type=MEDIA[form], headers=headers)
        first = await anext(pieces)  # what is refused is refused before the file begins
        return StreamingResponse(_whole(first, pieces), media_type=MEDIA[form], headers=headers)

    return router


async def _whole(first: bytes, rest: AsyncGenerator[bytes, Any]) -> AsyncGenerator[bytes, None]:
    async with aclosing(rest):
        yield first
        async for piece in rest:
            yield piece
