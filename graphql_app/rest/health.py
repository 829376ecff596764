"""Health, readiness, metrics."""

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from graphql_app.aio.single_flight import SingleFlight
from graphql_app.domain.access import Scope, require
from graphql_app.domain.caller import Caller
from graphql_app.domain.errors import Unauthenticated
from graphql_app.ops.health import Finding, Health
from graphql_app.ops.metrics import exposition
from graphql_app.rest.signing_in import AdmittingRoute, SignInDependency
from graphql_app.server.address_limit import ALIVE, READY
from graphql_app.services.identity.admission import Admission
from graphql_app.services.identity.identify import Identify


def routes(health: Health, identify: Identify, admission: Admission, metrics_directory: Path | None) -> APIRouter:
    router = APIRouter(tags=["operations"], route_class=AdmittingRoute)

    found: SingleFlight[str, dict[str, Finding]] = (
        SingleFlight()
    )  # however many ask, the parts are looked at once at a time

    async def is_operator(authorization: str | None) -> bool:
        try:
            return authorization is not None and (await identify.arriving(authorization)).view.has(Scope.SERVER)
        except Unauthenticated:
            return False

    @router.get(ALIVE, summary="Is the process alive?")
    async def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @router.get(
        READY,
        summary="Can it serve? Figures only for a token with the scope server:read.",
        responses={503: {"description": "It cannot; `checks` says which part and why."}},
        openapi_extra={"security": [{}, {"bearer": []}]},
    )
    async def readyz(request: Request) -> JSONResponse:
        findings = await found.join(READY, health.findings)
        shows_figures = await is_operator(request.headers.get("authorization"))
        ready = all(finding.ok for finding in findings.values())
        degraded = any(finding.degraded for finding in findings.values())
        body: dict[str, Any] = {
            "status": "not ready" if not ready else "degraded" if degraded else "ready",
            "checks": {name: shown(finding, with_figures=shows_figures) for name, finding in findings.items()},
        }
        return JSONResponse(body, 200 if ready else 503)

    @router.get(
        "/metrics",
        summary="Prometheus metrics, summed over all workers; needs the scope server:read.",
        response_class=PlainTextResponse,
    )
    async def metrics(caller: Annotated[Caller, Depends(SignInDependency(admission))]) -> Response:
        require(caller.viewer, Scope.SERVER)
        text, media_type = exposition(metrics_directory)
        return Response(text, media_type=media_type)

    return router


def shown(finding: Finding, *, with_figures: bool) -> dict[str, Any]:
    detail = f"{finding.detail}, {finding.figures}" if with_figures and finding.figures else finding.detail
    return {"ok": finding.ok and not finding.degraded, "detail": detail}
