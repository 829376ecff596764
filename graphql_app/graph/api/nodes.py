"""Finds nodes by their global ID."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from graphql_app.domain import identifiers
from graphql_app.domain import workstation as domain
from graphql_app.domain.office import BUILDING
from graphql_app.graph.api.context import AppInfo
from graphql_app.graph.api.selection import selected

NodeLoader: TypeAlias = Callable[[AppInfo, str], Awaitable[Any]]


async def workstation(info: AppInfo, identifier: str) -> domain.Workstation | None:
    """No loader of this operation: the service gathers what all operations ask for at the moment."""
    key = identifiers.row(identifier, "Workstation")
    return await info.context.services.browse.workstation(info.context.caller, key, selected(info))


def building(info: AppInfo, identifier: str) -> Awaitable[Any]:
    context, number = info.context, identifiers.row(identifier, "Building")
    directory, caller = context.services.directory, context.caller
    return context.load("building", number, lambda ids: directory.registered(caller, BUILDING, ids))


def _floor(info: AppInfo, identifier: str) -> Awaitable[Any]:
    context, number = info.context, identifiers.row(identifier, "Floor")
    browse, caller = context.services.browse, context.caller
    return context.load("floor by id", number, lambda keys: browse.floors_by_id(caller, keys))


def department(info: AppInfo, identifier: str) -> Awaitable[Any]:
    context, number = info.context, identifiers.row(identifier, "Department")
    browse, caller = context.services.browse, context.caller
    return context.load("department", number, lambda keys: browse.departments_by_id(caller, keys))


def employee(info: AppInfo, identifier: str) -> Awaitable[Any]:
    context, key = info.context, identifiers.public_key(identifier, "Employee")
    browse, caller = context.services.browse, context.caller
    return context.load("employee", key, lambda keys: browse.employees_by_key(caller, keys))


def _notification(info: AppInfo, identifier: str) -> Awaitable[Any]:
    context, notify, caller = info.context, info.context.services.notify, info.context.caller
    number = notify.row(identifiers.parse(identifier)[1])
    return context.load("notification", number, lambda ids: notify.by_id(caller, ids))


def _reservation(info: AppInfo, identifier: str) -> Awaitable[Any]:
    context, look, caller = info.context, info.context.services.look, info.context.caller
    return context.load("reservation", look.row(identifier), lambda ids: look.by_id(caller, ids))


def _audit_entry(info: AppInfo, identifier: str) -> Awaitable[Any]:
    context, caller = info.context, info.context.caller
    audit = context.services.audit
    seq = audit.seq(identifiers.parse(identifier)[1])
    return context.load("audit entry", seq, lambda seqs: audit.by_seq(caller, seqs))


# By the name of the type, which a global ID begins with: every type that implements Node.
NODES: Mapping[str, NodeLoader] = {
    "Workstation": workstation,
    "Building": building,
    "Floor": _floor,
    "Department": department,
    "Employee": employee,
    "Notification": _notification,
    "Reservation": _reservation,
    "AuditEntry": _audit_entry,
}


async def node(info: AppInfo, identifier: str) -> Any:
    """Returns whatever has the ID, or None. Raises InvalidInput for an ID of no known type."""
    loader = NODES.get(identifiers.parse(identifier)[0])
    if loader is None:
        raise identifiers.unknown(identifier)
    return await loader(info, identifier)
