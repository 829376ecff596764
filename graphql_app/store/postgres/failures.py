"""What the database reports, as what the client may be told."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoneFree

from graphql_app.domain.errors import (
    Conflict,
    Contention,
    InvalidInput,
    NameTaken,
    Outdated,
    ReadOnly,
    Refusal,
    SlotTaken,
    Unavailable,
)


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


@contextmanager
def constraints_translated() -> Iterator[None]:
    """Turns what a constraint refuses into what the client may be told, while it is still known what it was about."""
    try:
        yield
    except (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError):
        with translated():
            raise


class unwrapped:  # noqa: N801  # as translated
    """Raises what asyncpg said instead of the error that SQLAlchemy wraps it in, which repeats the statement."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, DBAPIError):
            # Not driver_exception: SQLAlchemy forgets that of an outdated statement.
            raise (error.orig and error.orig.__cause__) or error from None


class Trouble(Enum):
    """What an error says of where it came from."""

    LOST = auto()  # the connection is gone, and nothing says that the server is
    READ_ONLY = auto()  # this server takes no writes; another one may
    FULL = auto()  # nothing can be stored until somebody makes room
    RETRY = auto()  # two were in each other's way: as if this one had never been


@dataclass(frozen=True, slots=True)
class Meaning:
    refusal: Refusal
    trouble: Trouble | None = None


_CROWDED = Contention("Somebody else changed the same rows at the same time; try again.")
_DISK = "Nothing was written; what is there can still be read. Tell the operators, and try again later."

# SQLSTATE class or code. https://www.postgresql.org/docs/current/errcodes-appendix.html
_STATES: Mapping[str, Meaning] = {
    "08": Meaning(Unavailable("The connection to the database was lost; try again."), Trouble.LOST),
    "22": Meaning(InvalidInput("A value is out of range.")),
    "22001": Meaning(InvalidInput("A text is longer than its column.")),
    "22003": Meaning(
        InvalidInput("A number is too large for its column: coordinates and sizes stay below 100,000,000.")
    ),
    "22021": Meaning(InvalidInput("A text holds a character that cannot be stored (NUL).")),
    "25006": Meaning(
        ReadOnly("The database takes no writes at present; reading goes on. Try again later."), Trouble.READ_ONLY
    ),
    "25P03": Meaning(Unavailable("The database waited too long for the next statement; try again."), Trouble.LOST),
    "25P04": Meaning(Unavailable("The database took too long; ask for less, or try again."), Trouble.LOST),
    "28": Meaning(Unavailable("The database does not let this server in. Tell the operators.")),
    "3D000": Meaning(Unavailable("The database is not there at present. Tell the operators.")),
    "40001": Meaning(_CROWDED, Trouble.RETRY),
    "40P01": Meaning(_CROWDED, Trouble.RETRY),
    "53": Meaning(Unavailable("The database has too little left of what this needs; ask for less, or try again.")),
    "53100": Meaning(Unavailable(f"The disk of the database is full. {_DISK}"), Trouble.FULL),
    "53300": Meaning(Unavailable("The database has no free connection; try again.")),
    "55P03": Meaning(Contention("Somebody else is changing the same rows; try again."), Trouble.RETRY),
    "57014": Meaning(Unavailable("The database took too long; ask for less, or try again.")),
    "57P01": Meaning(Unavailable("The database is restarting; try again."), Trouble.LOST),
    "57P02": Meaning(Unavailable("The database is restarting; try again."), Trouble.LOST),
    "57P03": Meaning(Unavailable("The database is starting; try again.")),
    "57P04": Meaning(Unavailable("The database is not there at present. Tell the operators."), Trouble.LOST),
    "57P05": Meaning(Unavailable("The database ended an idle connection; try again."), Trouble.LOST),
    "58030": Meaning(Unavailable(f"The disk of the database fails. {_DISK}"), Trouble.FULL),
}
# What asyncpg itself raises, and the pool.
_NO_PRIMARY = Meaning(Unavailable("None of the hosts of the database takes writes at present; try again."))
_NO_ANSWER = Meaning(Unavailable("The database does not answer; try again."))
_NONE_FREE = Meaning(Unavailable("All connections to the database are in use; try again."))
_OUTDATED = Meaning(Outdated("The tables are being changed by an operator; try again."))
_NOT_REACHED = Meaning(_NO_ANSWER.refusal, Trouble.LOST)
_PLAIN: Mapping[type[BaseException], Meaning] = {TimeoutError: _NO_ANSWER, NoneFree: _NONE_FREE, OSError: _NOT_REACHED}

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
    "workstations_equipment_check": InvalidInput(
        "`equipment` must be JSON that every program can read.", field="equipment"
    ),
    "workstations_notes_check": InvalidInput("`notes` is too long.", field="notes"),
    "workstations_numbers_check": InvalidInput("Coordinates and sizes must be numbers."),
    "buildings_name_key": NameTaken("There is a building of this name already; choose another."),
    "floors_building_number_key": NameTaken("That building has a floor of this number already; choose another."),
    "departments_name_key": NameTaken("There is a department of this name already; choose another."),
    "employees_employee_number_key": NameTaken("Another employee has this number already; choose another."),
    "floors_building_fkey": InvalidInput("There is no such building.", field="building"),
    "employees_department_id_fkey": InvalidInput("There is no such department.", field="departmentId"),
    "notifications_building_fkey": InvalidInput("There is no such building.", field="building"),
    "notifications_floor_fkey": InvalidInput("That building has no such floor.", field="floorNumber"),
    "notifications_department_id_fkey": InvalidInput("There is no such department.", field="departmentId"),
    "reservations_slot_excl": SlotTaken("Somebody else has this desk at that time; choose another desk or time."),
    "reservations_desk_check": Conflict("This desk is booked; cancel its bookings first."),
    "workstations_size_check": InvalidInput("`width` and `height` must be above 0.", field="width"),
}


def trouble_of(error: BaseException) -> Trouble | None:
    """What the error says of where it came from."""
    meaning = _meaning(error)
    return meaning.trouble if meaning is not None else None


def is_lost(error: BaseException) -> bool:
    """Whether the connection died, so that another one may do what this one could not."""
    return trouble_of(error) is Trouble.LOST


def refusal_for(error: BaseException) -> Refusal | None:
    """What to tell the client of a database error; None when it is not one that we know."""
    found = _CONSTRAINTS.get(getattr(error, "constraint_name", None) or "")
    meaning = _meaning(error)
    if found is None and meaning is not None:
        found = meaning.refusal
    # A fresh one each time: a raised exception carries its traceback.
    return type(found)(found.message, **found.data) if found is not None else None


def _meaning(error: BaseException) -> Meaning | None:
    match error:
        case asyncpg.PostgresError():
            state = error.sqlstate or ""
            is_outdated = isinstance(error, asyncpg.InvalidCachedStatementError)
            return _OUTDATED if is_outdated else _STATES.get(state) or _STATES.get(state[:2])
        case asyncpg.TargetServerAttributeNotMatched():
            return _NO_PRIMARY
        # asyncpg's own: a value that its type cannot hold is a ValueError too, all others are of the connection; with
        # an internal error the server's goodbye was being read at this very moment.
        case asyncpg.InterfaceError() | asyncpg.InternalClientError():
            return _STATES["22"] if isinstance(error, ValueError) else _STATES["08"]
        case _:
            return next((meaning for kind, meaning in _PLAIN.items() if isinstance(error, kind)), None)
