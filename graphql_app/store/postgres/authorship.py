"""Who writes, from where and on which request: told to the triggers for the length of one transaction.

A statement that is joined to `author` (`author.c.actor.is_not(None)`) tells before it writes, as no row is written
before it is joined; MATERIALIZED, as what is inlined might be left out.
"""

from typing import Any

from sqlalchemy import CTE, BigInteger, ColumnElement, String, Text, bindparam, cast, func, literal_column, select, true

from graphql_app.domain.access import Viewer

HASTE = "100ms"

_TOLD = ("actor", "transport", "address", "request_id")


def _author(*besides: ColumnElement[Any]) -> CTE:
    told = (func.set_config(f"graphql_app.{it}", bindparam(it, type_=String), true()).label(it) for it in _TOLD)
    return select(*told, *besides).cte("author").prefix_with("MATERIALIZED")


author = _author()
# The same for who shall not wait long for a row that another transaction holds: others are written together with it.
hasty_author = _author(
    func.set_config("lock_timeout", literal_column(f"'{HASTE}'", String), true()).label("lock_timeout")
)
# The same for who says how long they wait for a row, in milliseconds, if not as long as everybody.
patient_author = _author(
    func.set_config(
        "lock_timeout",
        func.coalesce(bindparam("patience", type_=String), func.current_setting("lock_timeout")),
        true(),
    ).label("lock_timeout")
)
transaction_id = cast(cast(func.pg_current_xact_id(), Text), BigInteger).label("transaction_id")


def told(viewer: Viewer) -> dict[str, str]:
    """The parameters of `author`."""
    return {
        "actor": viewer.subject,
        "transport": viewer.transport or "",
        "address": viewer.address or "",
        "request_id": viewer.request_id or "",
    }
