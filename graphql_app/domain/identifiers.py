"""Global IDs: base64 of type and key, opaque to clients, the same on every door."""

import re
from base64 import b64encode
from binascii import Error as NotBase64
from binascii import a2b_base64
from collections.abc import Callable
from functools import lru_cache, partial
from uuid import UUID

from graphql_app.aio.memo import Memo
from graphql_app.domain.errors import InvalidInput

ROW_MOST = 2**31 - 1  # the keys are of PostgreSQL's integer
IDS_KEPT = 16_384  # of each type, of some 250 bytes
_ROW = re.compile("[0-9]{1,10}")


def global_id(type_name: str, key: int | str | UUID) -> str:
    return b64encode(f"{type_name}:{key}".encode()).decode()


def global_ids(type_name: str) -> Callable[[int | str | UUID], str]:
    """global_id of the type, for who makes hundreds: what was made before is found without a call in Python."""
    return Memo(partial(global_id, type_name), IDS_KEPT).__getitem__


def parse(identifier: str) -> tuple[str, str]:
    """Type name and key. Raises InvalidInput for what is not an ID of this server."""
    try:
        type_name, _, key = a2b_base64(identifier, strict_mode=True).decode().partition(":")
    except (NotBase64, UnicodeError, ValueError) as error:
        raise unknown(identifier) from error
    if not key:
        raise unknown(identifier)
    return type_name, key


def row(identifier: str, type_name: str, field: str = "id") -> int:
    """The row number in an ID of the type. Raises InvalidInput."""
    number = _row(identifier, type_name)
    if number is None or number > ROW_MOST:
        raise unknown(identifier, field, type_name)
    return number


@lru_cache(maxsize=IDS_KEPT)
def _row(identifier: str, type_name: str) -> int | None:
    found, key = parse(identifier)
    return int(key) if found == type_name and _ROW.fullmatch(key) else None


def public_key(identifier: str, type_name: str, field: str = "id") -> UUID:
    """The random key in an ID of the type. Raises InvalidInput."""
    found, key = parse(identifier)
    try:
        if found == type_name:
            return UUID(key)
    except ValueError:
        pass
    raise unknown(identifier, field, type_name)


def unknown(identifier: str, field: str = "id", type_name: str | None = None) -> InvalidInput:
    shown = identifier if len(identifier) <= 60 else f"{identifier[:60]}…"
    return InvalidInput(
        f"{shown!r} is not the id of {f'the type {type_name}' if type_name else 'anything'} here.", field=field
    )
