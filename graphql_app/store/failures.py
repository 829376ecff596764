"""What the database reports, as what the client may be told."""

from collections.abc import Mapping

import asyncpg

from graphql_app.domain.errors import Contention, InvalidInput, NameTaken, ReadOnly, Refusal, Unavailable


class translated:  # noqa: N801  # reads as a verb: with translated():
    """Turns what the database reports into what the client may be told."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, asyncpg.PostgresError):
            error.detail = None  # it repeats the row, hidden fields and all, and would go on into the log
        refusal = refusal_for(error) if error is not None else None
        if refusal is not None:
            raise refusal from error


# SQLSTATE class or code -> refusal. https://www.postgresql.org/docs/current/errcodes-appendix.html
_STATES: Mapping[str, Refusal] = {
    "25006": ReadOnly("The database takes no writes at present; reading goes on. Try again later."),
    "40001": Contention("Somebody else changed the same rows at the same time; try again."),
    "40P01": Contention("Somebody else changed the same rows at the same time; try again."),
    "53300": Unavailable("The database has no free connection; try again."),
    "55P03": Contention("Somebody else is changing the same rows; try again."),
    "57014": Unavailable("The database took too long; ask for less, or try again."),
    "57P01": Unavailable("The database is restarting; try again."),
    "57P02": Unavailable("The database is restarting; try again."),
    "57P03": Unavailable("The database is starting; try again."),
    "08": Unavailable("The connection to the database was lost; try again."),
    "22": InvalidInput("A value is out of range."),
    "22001": InvalidInput("A text is longer than its column."),
    "22003": InvalidInput("A number is too large for its column: coordinates and sizes stay below 100,000,000."),
    "22021": InvalidInput("A text holds a character that cannot be stored (NUL)."),
}

_CONSTRAINTS: Mapping[str, Refusal] = {
    "workstations_place_name_key": NameTaken("That floor has a workstation of this name already; choose another."),
    "workstations_floor_fkey": InvalidInput(
        "There is no such floor; `building` and `floorNumber` go together and must exist.", field="floorNumber"
    ),
    "workstations_department_id_fkey": InvalidInput("There is no such department.", field="departmentId"),
    "workstations_employee_id_fkey": InvalidInput("There is no such employee.", field="employeeId"),
    "workstations_name_form_check": InvalidInput(
        "`name` must be in Unicode's normal form NFC, without characters that nobody sees.", field="name"
    ),
    "workstations_equipment_check": InvalidInput("`equipment` must be JSON.", field="equipment"),
    "notifications_building_fkey": InvalidInput("There is no such building.", field="building"),
    "notifications_floor_fkey": InvalidInput("That building has no such floor.", field="floorNumber"),
    "notifications_department_id_fkey": InvalidInput("There is no such department.", field="departmentId"),
    "workstations_size_check": InvalidInput("`width` and `height` must be above 0.", field="width"),
}


# The connection is gone, and nothing says that the server is: 08, and a server that ended or is ending this session.
_GONE = ("57P01", "57P02")


def is_lost(error: BaseException) -> bool:
    """Whether the connection died, so that another one may do what this one could not."""
    if isinstance(error, asyncpg.PostgresError):
        return isinstance(error, asyncpg.PostgresConnectionError) or error.sqlstate in _GONE
    if isinstance(error, asyncpg.InterfaceError):
        return not isinstance(error, ValueError)
    if isinstance(error, asyncpg.InternalClientError):  # the server's goodbye was being read at this very moment
        return True
    return isinstance(error, OSError) and not isinstance(error, TimeoutError)


def refusal_for(error: BaseException) -> Refusal | None:
    """What to tell the client of a database error; None when it is not one that we know."""
    found: Refusal | None
    if isinstance(error, (asyncpg.InterfaceError, asyncpg.InternalClientError)):
        # asyncpg's own: a value that its type cannot hold is a ValueError too, all others are of the connection.
        found = _STATES["22"] if isinstance(error, ValueError) else _STATES["08"]
    elif isinstance(error, (OSError, TimeoutError)):
        found = Unavailable("The database does not answer; try again.")
    elif isinstance(error, asyncpg.PostgresError):
        found = _CONSTRAINTS.get(getattr(error, "constraint_name", None) or "")
        state = error.sqlstate or ""
        found = found or _STATES.get(state) or _STATES.get(state[:2])
    else:
        return None
    # A fresh one each time: a raised exception carries its traceback.
    return type(found)(found.message, **found.data) if found is not None else None
