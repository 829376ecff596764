"""Logging in with a password, staying logged in, and logging out, here or everywhere."""

import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from math import ceil

from graphql_app.domain.access import Scope, Viewer, require
from graphql_app.domain.account import (
    ADDRESS_PATIENCE,
    NAME_PATIENCE,
    Account,
    LoginSession,
    Use,
    address_subject,
    expiry,
    name_subject,
    password_normal,
    use_of,
)
from graphql_app.domain.errors import Forbidden, InvalidInput, NotFound, RateLimited, Unauthenticated
from graphql_app.domain.names import account_normal
from graphql_app.live.gate import Gate
from graphql_app.observe import LoginEnded, RefreshEnded, note
from graphql_app.services.identify import Identify
from graphql_app.services.passwords import Passwords
from graphql_app.store import accounts, login_failures, login_sessions, refresh_tokens
from graphql_app.store.database import Database
from graphql_app.store.session import Session

TOKEN_BYTES = 32


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """In seconds. However often it is renewed, a session ends after `session` of them."""

    access: float
    refresh: float
    session: float


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The viewer that the access token stands for expires with it; the refresh token gets the next of both."""

    viewer: Viewer
    access_token: str
    refresh_token: str
    refresh_expires_at: datetime


class Authenticate:
    """Nothing here says whether a name exists: not by words, not by time, not by who has to wait."""

    def __init__(
        self,
        database: Database,
        identify: Identify,
        passwords: Passwords,
        lifetimes: Lifetimes,
        gate: Gate,
        *,
        refused_passwords: frozenset[str] = frozenset(),
    ) -> None:
        self._database = database
        self._identify = identify
        self._passwords = passwords
        self._lifetimes = lifetimes
        self._gate = gate
        self._refused_passwords = refused_passwords

    async def login(self, viewer: Viewer, name: str, password: str, user_agent: str | None) -> SignedIn:
        """Raises Unauthenticated for a wrong name or password, RateLimited for who has to wait, Forbidden where
        another service issues the tokens, ReadOnly, Unavailable."""
        self._require_keys()
        self._gate.login(viewer.address)
        name = account_normal(name)
        subjects = name_subject(name), address_subject(viewer.address)
        with self._passwords.verifying() as verify:  # first: who is sent away has not failed
            await self._attempt(viewer, *subjects)
            known = await accounts.by_name(self._database, name)
            is_right = await verify(known.password_hash if known else None, password)
        if (
            known is None
            or not is_right
            or known.account.is_disabled
            or password_normal(password) in self._refused_passwords
        ):
            raise _wrong()
        async with self._database.writing(replace(viewer, subject=known.account.name)) as transaction:
            session = await login_sessions.open_for(transaction.connection, known, viewer.address, user_agent)
            if session is None:  # disabled, or given another password, in this very moment
                raise _wrong()
            await login_failures.forgive(transaction.connection, subjects[0])
            await login_failures.take_back(transaction.connection, subjects[1])
            token, expires_at = await self._issue(transaction.connection, session, session.created_at)
        note(LoginEnded("ok"))
        return self._signed_in(known.account, session, token, expires_at)

    async def refresh(self, viewer: Viewer, token: str, user_agent: str | None) -> SignedIn:
        """Exchanges a refresh token for the next. One that was used before ends its session, unless that was a moment
        ago. Raises Unauthenticated, Forbidden, ReadOnly, Unavailable."""
        self._require_keys()
        # Nobody is known to ask until the token has been looked at.
        async with self._database.writing(replace(viewer, subject=viewer.subject or "refresh token")) as transaction:
            connection = transaction.connection
            given = await refresh_tokens.presented(connection, _hash(token))
            use = use_of(given.token, given.account, given.session, given.now) if given is not None else Use.ENDED
            if given is not None and use is Use.REUSED:
                await login_sessions.revoke(connection, given.session.key)
            elif given is not None and use in (Use.FIRST, Use.AGAIN):
                token, expires_at = await self._issue(connection, given.session, given.now, replaces=given.token.id)
                await login_sessions.use(connection, given.session.id, viewer.address, user_agent)
        note(RefreshEnded(use.name.lower()))
        if given is None or use not in (Use.FIRST, Use.AGAIN):
            raise Unauthenticated("This refresh token is not valid, or no longer; log in again.")
        return self._signed_in(given.account, given.session, token, expires_at)

    async def logout(self, viewer: Viewer) -> str:
        """Ends the session of the viewer's token. Returns the name of the account.

        Raises InvalidInput for a token that comes from no login, ReadOnly, Unavailable.
        """
        if viewer.sign_in is None:
            raise InvalidInput("This token comes from no login here, so that there is nothing to log out of.")
        async with self._database.writing(viewer) as transaction:
            await login_sessions.revoke(transaction.connection, viewer.sign_in.session)
        return viewer.subject

    async def revoke(self, viewer: Viewer, name: str | None) -> int:
        """Ends all sessions of an account, the viewer's own when no name is given. Returns how many were open.

        Raises Forbidden for another's account, NotFound, InvalidInput, ReadOnly, Unavailable.
        """
        own = viewer.account.name if viewer.account is not None else None
        whose = own if name is None else account_normal(name)
        if whose is None:
            raise InvalidInput("This token comes from no login here: say whose sessions are to end.", field="account")
        # Not casefold(): to SQL, by which names are told apart, `straße` and `strasse` are two.
        if own is not None and whose.lower() == own.lower():
            whose = own
        else:
            require(viewer, Scope.ADMIN)
        async with self._database.writing(viewer) as transaction:
            ended = await login_sessions.revoke_all(transaction.connection, whose)
        if ended is None:
            raise NotFound("There is no account of that name.")
        return ended

    async def _attempt(self, viewer: Viewer, name: str, address: str) -> None:
        """Counts an attempt under both, as failed until it has not; under neither when one must wait, so that nobody
        who may not try keeps the owner of the name out. Raises RateLimited."""
        async with self._database.writing(viewer) as transaction:
            # All take them in this order, and so never wait for one another in a circle.
            for subject, patience in ((name, NAME_PATIENCE), (address, ADDRESS_PATIENCE)):
                seconds = await login_failures.attempt(transaction.connection, subject, patience)
                if seconds is not None:
                    note(LoginEnded("delayed"))
                    raise RateLimited(
                        f"Too many logins have failed; try again in {ceil(seconds)} s.",
                        measure="failed logins",
                        limit=patience.free,
                        asked=patience.free + 1,
                        retry_after=ceil(seconds),
                    )

    async def _issue(
        self, connection: Session, session: LoginSession, now: datetime, *, replaces: int | None = None
    ) -> tuple[str, datetime]:
        token = urlsafe_b64encode(secrets.token_bytes(TOKEN_BYTES)).rstrip(b"=").decode()
        expires_at = expiry(
            session, now, token_seconds=self._lifetimes.refresh, session_seconds=self._lifetimes.session
        )
        await refresh_tokens.issue(connection, session.id, _hash(token), expires_at, replaces=replaces)
        return token, expires_at

    def _signed_in(self, account: Account, session: LoginSession, token: str, expires_at: datetime) -> SignedIn:
        # Not asked for by its token: where accounts are not known at present, what has been exchanged is given all the
        # same. To ask for it again would look like theft.
        access, viewer = self._identify.issue_for(account, session, seconds=self._lifetimes.access)
        return SignedIn(viewer, access, token, expires_at)

    def _require_keys(self) -> None:
        if not self._identify.can_issue:
            raise Forbidden("This installation takes tokens that another service issues; log in there.")


def _wrong() -> Unauthenticated:
    note(LoginEnded("wrong"))
    return Unauthenticated("The name or the password is wrong.")


def _hash(token: str) -> bytes:
    return sha256(token.encode(errors="replace")).digest()
