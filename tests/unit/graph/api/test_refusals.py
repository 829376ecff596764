"""Every refusal that the use case behind a mutation can raise has a type in the answer of that mutation.

They are found by reading: what a use case raises, and what whatever it calls raises, as far as that is written here.
"""

import ast
import inspect
from collections.abc import Iterator
from importlib import import_module
from types import FunctionType, ModuleType
from typing import Any, get_type_hints

import pytest

from graphql_app.domain import errors
from graphql_app.graph.api.refusals import Refused, is_among
from graphql_app.graph.api.schema import build
from graphql_app.services.booking.book import Book
from graphql_app.services.identity.authenticate import Authenticate
from graphql_app.services.notifications import Notify
from graphql_app.services.office.arrange import Arrange
from graphql_app.services.office.arrange_several import ArrangeSeveral
from graphql_app.services.office.register import Register
from graphql_app.store.postgres import failures
from graphql_app.store.postgres.database import Database

SCHEMA = build()._schema
PACKAGE = "graphql_app."

# What a mutation does, and what reads its arguments in its name.
USE_CASES: dict[str, tuple[Any, ...]] = {
    "createWorkstation": (Arrange.create,),
    "updateWorkstation": (Arrange.edit,),
    "deleteWorkstation": (Arrange.delete,),
    "setWorkstationStatus": (Arrange.set_status,),
    "assignWorkstation": (Arrange.assign,),
    "releaseWorkstation": (Arrange.release,),
    "createWorkstations": (ArrangeSeveral.create,),
    "setWorkstationStatuses": (ArrangeSeveral.set_statuses,),
    "publishNotification": (Notify.publish,),
    **{
        f"{verb}{kind}": (use_case,)
        for kind in ("Building", "Floor", "Department", "Employee")
        for verb, use_case in (("create", Register.create), ("update", Register.edit), ("delete", Register.delete))
    },
    "login": (Authenticate.login,),
    "refreshToken": (Authenticate.refresh,),
    "logout": (Authenticate.logout,),
    "revokeSessions": (Authenticate.revoke,),
    "reserveWorkstation": (Book.reserve,),
    "changeReservation": (Book.change,),
    "cancelReservation": (Book.cancel,),
    "checkIn": (Book.check_in,),
    "checkOut": (Book.check_out,),
}
# What may come in the way of any request is an error of the operation, unless an answer names it.
OF_ANY_REQUEST = (errors.Unauthenticated, errors.TooMany, errors.Unavailable)
# Those of a table are raised by who writes to it alone.
TABLES = {
    Arrange: ("workstations_",),
    Book: ("reservations_",),
    ArrangeSeveral: ("workstations_",),
    Register: ("buildings_", "floors_", "departments_", "employees_"),
    Notify: ("notifications_",),
    Authenticate: ("accounts_",),
}


class Reading:
    """What functions raise, followed through all that they call by name."""

    def __init__(self) -> None:
        self.seen: set[Any] = set()
        self.raised: set[type[errors.Refusal]] = set()

    def read(self, function: Any, owner: type | None = None) -> None:
        function = inspect.unwrap(function)
        if not isinstance(function, FunctionType) or not function.__module__.startswith(PACKAGE):
            return
        if function in self.seen or function.__code__.co_filename.startswith("<"):  # made by a program
            return
        self.seen.add(function)
        tree = ast.parse(_dedented(inspect.getsource(function)))
        module = import_module(function.__module__)
        for node in ast.walk(tree):
            if isinstance(node, ast.Raise) and node.exc is not None:
                self._raises(node.exc, module, owner)
            elif isinstance(node, (ast.Attribute, ast.Name)):
                self._follow(node, module, owner)

    def _raises(self, raised: ast.expr, module: ModuleType, owner: type | None) -> None:
        found = _resolved(raised.func if isinstance(raised, ast.Call) else raised, module, owner)[0]
        if isinstance(found, FunctionType):
            found = get_type_hints(found).get("return")
        if inspect.isclass(found) and issubclass(found, errors.Refusal):
            self.raised.add(found)

    def _follow(self, node: ast.expr, module: ModuleType, owner: type | None) -> None:
        found, of = _resolved(node, module, owner)
        if inspect.isclass(found) and found.__module__.startswith(PACKAGE) and not issubclass(found, Exception):
            for name in ("__init__", "__post_init__"):
                self.read(getattr(found, name, None), found)
        elif callable(found):
            self.read(found, of)


def _dedented(source: str) -> str:
    lines = source.splitlines()
    indent = len(lines[0]) - len(lines[0].lstrip())
    return "\n".join(line[indent:] for line in lines)


def _resolved(node: ast.expr, module: ModuleType, owner: type | None) -> tuple[Any, type | None]:
    """What a name, or an attribute of one, stands for, and the class that it is a method of."""
    if isinstance(node, ast.Name):
        return vars(module).get(node.id), None
    if not isinstance(node, ast.Attribute):
        return None, None
    if isinstance(node.value, ast.Name) and node.value.id == "self" and owner is not None:
        return inspect.getattr_static(owner, node.attr, None), owner
    if isinstance(node.value, ast.Attribute) and owner is not None and _is_own(node.value):
        part = _parts(owner).get(node.value.attr.lstrip("_"))
        return (inspect.getattr_static(part, node.attr, None), part) if inspect.isclass(part) else (None, None)
    of, _ = _resolved(node.value, module, owner)
    return (getattr(of, node.attr, None), None) if isinstance(of, ModuleType) else (None, None)


def _is_own(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id == "self"


def _parts(owner: type) -> dict[str, Any]:
    """The types of what a class is given, which it keeps under the same names."""
    return get_type_hints(owner.__init__)  # type: ignore[misc]  # of a class, not of an instance


def of_the_database(prefixes: tuple[str, ...]) -> Iterator[type[errors.Refusal]]:
    """What may become of any statement, and of the constraints of some tables."""
    yield from (type(meaning.refusal) for meaning in (*failures._STATES.values(), failures._OUTDATED))
    yield from (type(refusal) for name, refusal in failures._CONSTRAINTS.items() if name.startswith(prefixes))


def raised_by(use_case: Any) -> set[type[errors.Refusal]]:
    name = use_case.__qualname__.partition(".")[0]
    owner = vars(import_module(use_case.__module__))[name]
    reading = Reading()
    reading.read(use_case, owner)
    if inspect.unwrap(Database.writing) in reading.seen:
        reading.raised |= set(of_the_database(TABLES[owner]))
    if "values" not in inspect.signature(use_case).parameters:
        reading.raised.discard(errors.NameTaken)  # who writes no name meets none
    return reading.raised


def missing(mutation: str, raised: set[type[errors.Refusal]]) -> set[str]:
    """Those that the answer of the mutation has no type for."""
    assert SCHEMA.mutation_type is not None
    answer = SCHEMA.mutation_type.fields[mutation].type
    own = {refusal for refusal in raised if not issubclass(refusal, OF_ANY_REQUEST)}
    return {refusal.__name__ for refusal in own if not is_among(Refused(refusal.__new__(refusal)), answer)}


@pytest.mark.parametrize("mutation", USE_CASES)
def test_every_refusal_of_a_use_case_is_in_the_answer_of_its_mutation(mutation: str) -> None:
    raised = {refusal for use_case in USE_CASES[mutation] for refusal in raised_by(use_case)}

    assert missing(mutation, raised) == set()


def test_every_mutation_is_read() -> None:
    assert SCHEMA.mutation_type is not None
    assert USE_CASES.keys() == SCHEMA.mutation_type.fields.keys()


def test_what_is_read_is_what_is_raised() -> None:
    """Through services, the domain and the store."""
    assert raised_by(Arrange.create) >= {errors.Forbidden, errors.InvalidInput, errors.Conflict, errors.NameTaken}
    assert raised_by(Arrange.edit) >= {errors.NotFound, errors.VersionConflict, errors.Outdated, errors.ReadOnly}
    assert raised_by(Authenticate.login) >= {errors.Unauthenticated, errors.RateLimited, errors.Contention}
    assert raised_by(Register.delete) >= {errors.NotFound, errors.VersionConflict, errors.InUse}
    assert missing("createWorkstation", {errors.NotFound}) == {"NotFound"}
