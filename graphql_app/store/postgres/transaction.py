"""One transaction of one caller, and the idempotency key that it claims: a repeated request does nothing twice."""

from sqlalchemy import select, text

from graphql_app.domain.arranging import Idempotency
from graphql_app.domain.caller import Caller
from graphql_app.domain.errors import Conflict
from graphql_app.store.postgres.authorship import author_parameters, patient_author, transaction_id
from graphql_app.store.postgres.session import Session
from graphql_app.store.postgres.statements import prepared

_OPEN = prepared(select(transaction_id).select_from(patient_author).where(patient_author.c.actor.is_not(None)))
_CLAIM = prepared(
    text("INSERT INTO idempotency_keys (actor, key, request) VALUES (:actor, :key, :request) ON CONFLICT DO NOTHING")
)
_USED = prepared(text("SELECT request, answer FROM idempotency_keys WHERE actor = :actor AND key = :key"))
_REMEMBER = prepared(text("UPDATE idempotency_keys SET answer = :answer WHERE actor = :actor AND key = :key"))


class Transaction:
    """`replayed` is the answer kept for its idempotency key, if that was used before."""

    def __init__(self, connection: Session, transaction_id: int, replayed: str | None, key: Idempotency | None) -> None:
        self.connection = connection
        self.id = transaction_id
        self.replayed = replayed
        self._key = key

    async def remember(self, caller: Caller, answer: str) -> None:
        """Keeps the answer for a later request with the same idempotency key; does nothing without one."""
        if self._key is not None:
            await self.connection.execute(
                _REMEMBER, {"actor": caller.viewer.subject, "key": self._key.key, "answer": answer}
            )


async def begin(
    connection: Session, caller: Caller, key: Idempotency | None, lock_milliseconds: int | None
) -> Transaction:
    """Sets the author of the transaction that has just begun on the connection, and claims its idempotency key.

    Raises Conflict when the key was used for another request.
    """
    patience = None if lock_milliseconds is None else str(lock_milliseconds)
    transaction_id = await connection.scalar(_OPEN, {**author_parameters(caller), "patience": patience})
    replayed = await _claim(connection, caller, key) if key else None
    return Transaction(connection, int(transaction_id), replayed, key)


async def _claim(connection: Session, caller: Caller, key: Idempotency) -> str | None:
    """Takes the key, or returns the answer that it stands for. A rival with the same key is waited for."""
    named = {"actor": caller.viewer.subject, "key": key.key}
    if await connection.execute(_CLAIM, {**named, "request": key.request}) == 1:
        return None
    used = await connection.row(_USED, named)
    assert used is not None, "the rival's transaction, which held the key, has committed"
    if used["request"] != key.request:
        raise Conflict("This idempotency key was used for another request; make a new one.", key=key.key)
    return str(used["answer"])
