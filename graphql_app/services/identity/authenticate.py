"""Logging in with a password, staying logged in, and logging out, here or everywhere."""

import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from math import ceil

from graphql_app.domain.access import Scope, Viewer, require
from graphql_app.domain.account import (
    ADDRESS_PATIENCE,
    KNOWN_PATIENCE,
    NAME_PATIENCE,
    PAIR_PATIENCE,
    Account,
    LoginSession,
    Patience,
    Use,
    address_subject,
    expiry,
    name_subject,
    pair_subject,
    password_normal,
    use_of,
)
from graphql_app.domain.addresses import network_of
from graphql_app.domain.caller import Caller
from graphql_app.domain.errors import Forbidden, InvalidInput, NotFound, RateLimited, Unauthenticated
from graphql_app.domain.names import account_normal
from graphql_app.domain.seal import Seal
from graphql_app.domain.values import characters_problem
from graphql_app.live.admission.limits import Limits
from graphql_app.observe import LoginEnded, RefreshEnded, note
from graphql_app.services.identity.identify import Identify
from graphql_app.services.identity.passwords import Passwords
from graphql_app.store.accounts import accounts, login_addresses, login_failures, login_sessions, refresh_tokens
from graphql_app.store.accounts.accounts import StoredAccount
from graphql_app.store.accounts.refresh_tokens import Presented
from graphql_app.store.postgres.database import Database
from graphql_app.store.postgres.retry import retry_on_contention
from graphql_app.store.postgres.session import Session

TOKEN_BYTES = 32
NOBODY = 0  # the id of no account


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long tokens and sessions last, in seconds. However often it is renewed, a session ends after `session`."""

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
    """Logs in and out. Nothing here tells whether a name exists: no words, no time, no one who has to wait. Where its
    owner has logged in from, who has to wait is another question."""

    def __init__(
        self,
        database: Database,
        identify: Identify,
        passwords: Passwords,
        lifetimes: Lifetimes,
        limits: Limits,
        *,
        refused_passwords: frozenset[str] = frozenset(),
    ) -> None:
        self._database = database
        self._identify = identify
        self._passwords = passwords
        self._lifetimes = lifetimes
        self._limits = limits
        self._refused_passwords = refused_passwords

    async def login(self, caller: Caller, name: str, password: str, user_agent: str | None) -> SignedIn:
        """Opens a session. Raises Unauthenticated for a wrong name or password, RateLimited for who has to wait,
        Forbidden where another service issues the tokens, InvalidInput for a name that no account can have, ReadOnly,
        Unavailable."""
        self._require_keys()
        problem = characters_problem(name)
        if problem is not None:
            raise InvalidInput(f"`name` {problem}.", field="name")
        self._limits.login(caller.address)
        name = account_normal(name)
        known, network = await accounts.by_name(self._database, name), network_of(caller.address)
        account_id = known.account.id if known else NOBODY  # asked of nobody too: that takes as long
        is_stranger = not await login_addresses.is_known(self._database, account_id, network)
        with self._passwords.verifying(is_stranger=is_stranger) as verify:  # first: who is sent away has not failed
            counted = await self._attempt(caller, name, is_stranger=is_stranger)
            is_right = await verify(known.password_hash if known else None, password)
        if (
            known is None
            or not is_right
            or known.account.is_disabled
            or password_normal(password) in self._refused_passwords
        ):
            raise _wrong()
        session, token, expires_at = await self._open(caller, known, name, counted, user_agent)
        note(LoginEnded("ok"))
        return self._signed_in(known.account, session, token, expires_at)

    @retry_on_contention
    async def _open(
        self, caller: Caller, known: StoredAccount, name: str, counted: list[str], user_agent: str | None
    ) -> tuple[LoginSession, str, datetime]:
        """Opens a session with its first refresh token, forgives what failed with the name from that address, and
        remembers the address. Raises Unauthenticated when the account is disabled, or given another password, at this
        very moment."""
        async with self._database.writing(caller.named(known.account.name)) as transaction:
            session = await login_sessions.open_for(transaction.connection, known, caller.address, user_agent)
            if session is None:
                raise _wrong()
            await login_failures.forgive(transaction.connection, pair_subject(name, caller.address))
            for subject in counted:
                await login_failures.take_back(transaction.connection, subject)
            await login_addresses.remember(transaction.connection, known.account.id, network_of(caller.address))
            return session, *await self._issue(transaction.connection, session, session.created_at)

    @retry_on_contention
    async def refresh(self, caller: Caller, token: str, user_agent: str | None) -> SignedIn:
        """Exchanges a refresh token for the next. One that was used a moment ago is exchanged for the same again, and
        one that was used before ends its session. Raises Unauthenticated, Forbidden, ReadOnly, Unavailable."""
        self._require_keys()
        # Nobody is known to ask until the token has been looked at.
        async with self._database.writing(caller.named(caller.viewer.subject or "refresh token")) as transaction:
            connection = transaction.connection
            given = await refresh_tokens.presented(connection, _hash(token))
            use = use_of(given.token, given.account, given.session, given.now) if given is not None else Use.ENDED
            if given is not None and use is Use.REUSED:
                await login_sessions.revoke(connection, given.session.key)
            elif given is not None and use in (Use.FIRST, Use.AGAIN):
                token, expires_at = await self._renewed(connection, token, given)
                await login_sessions.use(connection, given.session.id, caller.address, user_agent)
        note(RefreshEnded(use.name.lower()))
        if given is None or use not in (Use.FIRST, Use.AGAIN):
            raise Unauthenticated("This refresh token is not valid, or no longer; log in again.")
        return self._signed_in(given.account, given.session, token, expires_at)

    @retry_on_contention
    async def logout(self, caller: Caller) -> str:
        """Ends the session of the viewer's token. Returns the name of the account.

        Raises InvalidInput for a token that comes from no login, ReadOnly, Unavailable.
        """
        if caller.viewer.sign_in is None:
            raise InvalidInput("This token comes from no login here, so that there is nothing to log out of.")
        async with self._database.writing(caller) as transaction:
            await login_sessions.revoke(transaction.connection, caller.viewer.sign_in.session)
        return caller.viewer.subject

    @retry_on_contention
    async def revoke(self, caller: Caller, name: str | None) -> int:
        """Ends all sessions of an account, the viewer's own when no name is given. Returns how many were open.

        Raises Forbidden for another's account, NotFound, InvalidInput, ReadOnly, Unavailable.
        """
        own = caller.viewer.account.name if caller.viewer.account is not None else None
        whose = own if name is None else account_normal(name)
        if whose is None:
            raise InvalidInput("This token comes from no login here: say whose sessions are to end.", field="account")
        # Not casefold(): to SQL, by which names are told apart, `straße` and `strasse` are two.
        if own is not None and whose.lower() == own.lower():
            whose = own
        else:
            require(caller.viewer, Scope.ADMIN)
        async with self._database.writing(caller) as transaction:
            ended = await login_sessions.revoke_all(transaction.connection, whose)
        if ended is None:
            raise NotFound("There is no account of that name.")
        return ended

    @retry_on_contention
    async def _attempt(self, caller: Caller, name: str, *, is_stranger: bool) -> list[str]:
        """Counts an attempt under all that it is counted under, as failed until it has not; under none when one must
        wait, so that nobody who may not try keeps the owner of the name out. Returns under what it was counted besides
        the name from there. Raises RateLimited."""
        pair = pair_subject(name, caller.address), PAIR_PATIENCE if is_stranger else KNOWN_PATIENCE
        rest = (address_subject(caller.address), ADDRESS_PATIENCE), (name_subject(name), NAME_PATIENCE)
        counted = []
        async with self._database.writing(caller) as transaction:
            # All take them in this order, and so never wait for one another in a circle.
            for subject, patience in (pair, *rest):
                seconds = await login_failures.attempt(transaction.connection, subject, patience)
                if seconds is None:
                    counted.append(subject)
                elif is_stranger or subject == pair[0]:
                    note(LoginEnded("delayed"))
                    raise _too_soon(patience, seconds)
        return counted[1:]

    async def _renewed(self, connection: Session, token: str, given: Presented) -> tuple[str, datetime]:
        """Returns the newest token of the family: a new one, unless this was renewed already. Then all who present it
        are given the same: of two who have it, the second to come with that is noticed."""
        newest, own = token, given
        while own.token.successor is not None:
            newest = _sealing(newest).open(own.token.successor).decode()
            following = await refresh_tokens.presented(connection, _hash(newest))
            assert following is not None, "it was issued by the statement that sealed it"
            own = following
        if newest != token and own.token.used_at is None:
            return newest, own.token.expires_at
        return await self._issue(connection, given.session, given.now, replaces=own.token.id, old=newest)

    async def _issue(
        self, connection: Session, session: LoginSession, now: datetime, *, replaces: int | None = None, old: str = ""
    ) -> tuple[str, datetime]:
        """Issues a new token of the family, in the place of an old one, if there is one."""
        token = urlsafe_b64encode(secrets.token_bytes(TOKEN_BYTES)).rstrip(b"=").decode()
        expires_at = expiry(
            session, now, token_seconds=self._lifetimes.refresh, session_seconds=self._lifetimes.session
        )
        sealed = None if replaces is None else _sealing(old).close(token.encode())
        await refresh_tokens.issue(
            connection, session.id, _hash(token), expires_at, replaces=replaces, successor=sealed
        )
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


def _too_soon(patience: Patience, seconds: float) -> RateLimited:
    return RateLimited(
        f"Too many logins have failed; try again in {ceil(seconds)} s.",
        measure="failed logins",
        limit=patience.free,
        asked=patience.free + 1,
        retry_after=ceil(seconds),
    )


def _sealing(token: str) -> Seal:
    """Returns a seal that only the holder of this token can open."""
    return Seal(token, "the refresh token after this one")


def _hash(token: str) -> bytes:
    return sha256(token.encode(errors="replace")).digest()
