"""Who writes, from where and on which request: told to the triggers for the length of one transaction.

A statement that is joined to `author` (`author.c.actor.is_not(None)`) tells before it writes, as no row is written
before it is joined; MATERIALIZED, as what is inlined might be left out.
"""

from typing import Any

from sqlalchemy import CTE, BigInteger, ColumnElement, String, Text, bindparam, cast, func, literal_column, select, true

from graphql_app.domain.caller import Caller

HASTE = "100ms"

_AUTHOR_SETTINGS = ("actor", "transport", "address", "request_id")


def _author(*besides: ColumnElement[Any]) -> CTE:
    set_author = (
        func.set_config(f"graphql_app.{it}", bindparam(it, type_=String), true()).label(it) for it in _AUTHOR_SETTINGS
    )
    return select(*set_author, *besides).cte("author").prefix_with("MATERIALIZED")


author = _author()
# `author` with a short lock time-out: a locked row must not delay the rows that are written together with it.
hasty_author = _author(
    func.set_config("lock_timeout", literal_column(f"'{HASTE}'", String), true()).label("lock_timeout")
)
# `author` with a lock time-out of its own in milliseconds (`patience`); null keeps that of the session.
patient_author = _author(
    func.set_config(
        "lock_timeout",
        func.coalesce(bindparam("patience", type_=String), func.current_setting("lock_timeout")),
        true(),
    ).label("lock_timeout")
)
transaction_id = cast(cast(func.pg_current_xact_id(), Text), BigInteger).label("transaction_id")


def author_parameters(caller: Caller) -> dict[str, str]:
    """Returns the parameters of `author` for a caller."""
    return {
        "actor": caller.viewer.subject,
        "transport": caller.transport or "",
        "address": caller.address or "",
        "request_id": caller.request_id or "",
    }
