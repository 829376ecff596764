"""Local accounts, the sessions that a login opens, and what may be done with a refresh token."""

import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from hashlib import blake2b
from uuid import UUID

from graphql_app.domain.addresses import network_of
from graphql_app.domain.errors import InvalidInput
from graphql_app.domain.names import account_normal, unseen

# What the change log calls them.
ACCOUNT = "account"
LOGIN_SESSION = "login_session"

NAME_LENGTH_MOST = 100
PASSWORD_LENGTH_LEAST = 10
# Of the accounts that a development server makes for itself. Nobody else is let in with it.
DEMO_PASSWORD = "demo office"  # noqa: S105  # it is not meant to be a secret
PASSWORD_BYTES_MOST = 1000  # a hash of more is only work for the server

# Two tabs of one browser renew at the same moment, or an answer is lost and asked for again: no thief.
GRACE = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Account:
    """An account that may log in here. Sessions that were opened before `tokens_from` have ended."""

    id: int
    name: str
    role: str
    is_disabled: bool
    tokens_from: datetime
    employee_key: UUID | None
    employee_number: str | None
    version: int


@dataclass(frozen=True, slots=True)
class LoginSession:
    """One login, for as long as its refresh tokens follow one another: their family."""

    id: int
    key: UUID
    account_id: int
    created_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class SignIn:
    """What an access token says of the login that it comes from."""

    account_id: int
    session: UUID
    at: datetime


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A refresh token as it is kept: a hash of it, and its successor, sealed so that only who presents the token can
    open that."""

    id: int
    expires_at: datetime
    used_at: datetime | None
    successor: bytes | None = None


class Use(Enum):
    """What may be done with a presented refresh token."""

    FIRST = auto()
    AGAIN = auto()  # within the grace: what it was renewed to is given once more, so that the family has one newest
    REUSED = auto()  # a copy is about: the family ends
    EXPIRED = auto()
    ENDED = auto()  # its session is over


def is_over(account: Account, session: LoginSession) -> bool:
    """Whether nothing that comes from the session is accepted any more."""
    return account.is_disabled or session.revoked_at is not None or session.created_at < account.tokens_from


def use_of(token: RefreshToken, account: Account, session: LoginSession, now: datetime) -> Use:
    if is_over(account, session):
        return Use.ENDED
    if token.used_at is not None:
        return Use.AGAIN if now - token.used_at <= GRACE else Use.REUSED
    return Use.EXPIRED if token.expires_at <= now else Use.FIRST


def expiry(session: LoginSession, now: datetime, *, token_seconds: float, session_seconds: float) -> datetime:
    """Returns when a refresh token that is issued now expires: no later than the session, however often it is
    renewed."""
    until_then = timedelta(seconds=session_seconds) - (now - session.created_at)
    return now + min(timedelta(seconds=token_seconds), until_then)


# --- who tries to log in ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Patience:
    """How many logins may fail, and how long the next must wait from then on: twice as long each time, up to a
    bound."""

    free: int
    seconds_most: float
    first_seconds: float = 2.0


# With one name from one address: strangers elsewhere make nobody wait. Forgiven when the owner logs in from there.
PAIR_PATIENCE = Patience(free=5, seconds_most=300)
# The same where its owner has logged in before: whoever shares that address may slow the owner, and not lock them out.
KNOWN_PATIENCE = Patience(free=20, seconds_most=10, first_seconds=1)
# From one address with whatever names, and with one name from everywhere: neither is asked where the owner is known.
ADDRESS_PATIENCE = Patience(free=20, seconds_most=300)
NAME_PATIENCE = Patience(free=100, seconds_most=10, first_seconds=1)

KNOWN_DAYS = 90  # so long an address is known for an account that logged in from there


def name_subject(name: str) -> str:
    """Returns the subject that failures with a name are counted under. A digest: people type their password where the
    name belongs."""
    # No spelling that lower() of SQL takes for the same name may be counted apart: it makes an i of U+0130.
    folded = name.replace("\u0130", "i").casefold()
    return "name:" + blake2b(folded.encode(errors="replace"), digest_size=16).hexdigest()


def pair_subject(name: str, address: str | None) -> str:
    """Returns the subject that failures with a name from an address are counted under."""
    return f"{name_subject(name)}@{network_of(address)}"


def address_subject(address: str | None) -> str:
    return f"address:{network_of(address)}"


# --- what an administrator gives -------------------------------------------------------------------------------------


def checked_name(name: str) -> str:
    """Returns the name as it is kept. Raises InvalidInput."""
    name = account_normal(name)
    if not 0 < len(name) <= NAME_LENGTH_MOST or not name.isprintable() or name != name.strip() or unseen(name):
        raise InvalidInput(
            f"A name has 1 to {NAME_LENGTH_MOST} characters that can be printed, with none around it.", field="name"
        )
    return name


def password_normal(password: str) -> str:
    """Returns the password as it is hashed (NFKC; NIST SP 800-63B, 3.1.1.2): however a keyboard makes its accents."""
    is_long = len(password) > PASSWORD_BYTES_MOST  # no password; not worth the work
    return password if is_long or password.isascii() else unicodedata.normalize("NFKC", password)


def checked_password(password: str) -> str:
    """Returns the password as it is hashed. Raises InvalidInput. Only its length is checked (NIST SP 800-63B)."""
    password = password_normal(password)
    if len(password) < PASSWORD_LENGTH_LEAST or len(password.encode()) > PASSWORD_BYTES_MOST:
        raise InvalidInput(
            f"A password has at least {PASSWORD_LENGTH_LEAST} characters, and at most {PASSWORD_BYTES_MOST} bytes.",
            field="password",
        )
    return password
