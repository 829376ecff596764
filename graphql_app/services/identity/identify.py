"""From a token to a viewer, and from a viewer to a token."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from cachetools import LRUCache

from graphql_app.domain.access import ANONYMOUS, Scope, View, Viewer, scopes_of
from graphql_app.domain.account import Account, LoginSession, SignIn
from graphql_app.domain.errors import MissingToken, Unauthenticated
from graphql_app.domain.seal import BrokenSeal
from graphql_app.live.sessions.accounts import Accounts, NotHeardOf
from graphql_app.services.identity import tokens
from graphql_app.services.identity.issuer import Issuer, KeyUnknown
from graphql_app.services.identity.keys import BadKey, KeyRing
from graphql_app.services.identity.tokens import Unverified

VERIFIED_MOST = 10_000
ROLES_MOST = 100
NAME_LENGTH_MOST = 100  # of a role, and of an employee's number


class Identify:
    """Makes viewers of tokens: JWTs of ours, or of one OpenID issuer. A verified one is remembered until it expires."""

    def __init__(
        self,
        keys: KeyRing,
        *,
        issuer: str,
        audience: str,
        roles: Mapping[str, frozenset[Scope]],
        openid: Issuer | None = None,
        accounts: Accounts | None = None,
    ) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._roles = roles
        self._openid = openid
        self._accounts = accounts
        self._verified: LRUCache[str, Viewer] = LRUCache(VERIFIED_MOST)
        if openid is not None:
            openid.on_withdrawal(self._verified.clear)

    def viewer(self, token: str) -> Viewer:
        """Returns the viewer of a token. Raises Unauthenticated, saying what is wrong with it; KeyUnknown where newer
        keys may help."""
        known = self._verified.get(token)
        if known is not None and known.expires_at > time.time():
            viewer = self.present(known)
            if viewer is known:
                return known
        else:
            viewer = self._verified_viewer(tokens.read(token))
        self._verified[token] = viewer
        return viewer

    def present(self, viewer: Viewer) -> Viewer:
        """Returns the viewer as their account is now; the very same while nothing has changed.

        Raises Unauthenticated once their login is over, and Unavailable when this process cannot know.
        """
        if viewer.sign_in is None:
            return viewer
        account = self._local.of(viewer.sign_in)
        return viewer if account is viewer.account else self._as(account, viewer)

    def watch(self, viewer: Viewer, changed: Callable[[], None]) -> Callable[[], None]:
        """Calls `changed` whenever present() may have another answer, before anybody is told of a later change.
        Returns what stops watching."""
        return self._local.watch(viewer.sign_in, changed) if viewer.sign_in is not None else _nothing

    async def prepared(self) -> None:
        """Returns when the issuer's keys have been asked for once; at once where there is no issuer."""
        if self._openid is not None:
            await self._openid.tried()

    @property
    def jwks(self) -> dict[str, Any]:
        """The public keys of the tokens that are issued here, as a JWK set."""
        return self._keys.jwks

    def from_header(self, header: str | None) -> Viewer:
        """Returns the viewer of an Authorization header. Raises Unauthenticated."""
        scheme, _, token = (header or "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise MissingToken(
                "Send a token: `Authorization: Bearer …` (make one with `graphql-app token --role ROLE`)."
            )
        return self.viewer(token.strip())

    async def arriving(self, header: str | None) -> Viewer:
        """Returns what from_header() returns; waits for the issuer's newer keys, or for a new account, if it must."""
        try:
            return self.from_header(header)
        except KeyUnknown:
            assert self._openid is not None
            await self._openid.refreshed()
        except NotHeardOf as unknown:
            await self._local.arrival(unknown.sign_in)
        return self.from_header(header)

    def issue(
        self,
        subject: str,
        roles: Sequence[str],
        *,
        seconds: float,
        employee_key: UUID | None = None,
        employee_number: str | None = None,
    ) -> str:
        """Signs a token. Raises BadKey where only a public key is known, and for roles that do not exist."""
        unknown = sorted(set(roles) - set(self._roles))
        if unknown:
            raise BadKey(f"no such role: {', '.join(unknown)}; there are {', '.join(sorted(self._roles))}")
        claims: dict[str, Any] = {"roles": list(roles)}
        if employee_key is not None:
            claims["employee"] = {"key": str(employee_key), "number": employee_number}
        return self._signed(subject, _after(seconds), claims)

    def issue_for(self, account: Account, session: LoginSession, *, seconds: float) -> tuple[str, Viewer]:
        """An access token of a login: it says whose, and leaves what they may to the account as it will be. And the
        viewer of it, as the account is now, whatever this process has heard of it. Raises BadKey."""
        self._local.learn(account)
        claims = {
            "acc": self._local.keys.close(account.id),
            "sid": str(session.key),
            "auth_time": session.created_at.timestamp(),
        }
        expires_at = _after(seconds)
        nobody = replace(ANONYMOUS, subject=account.name, expires_at=float(expires_at), sign_in=self._login(claims))
        return self._signed(account.name, expires_at, claims), self._as(account, nobody)

    @property
    def can_issue(self) -> bool:
        return self._keys.signing is not None

    def _signed(self, subject: str, expires_at: int, claims: Mapping[str, Any]) -> str:
        now = int(time.time())
        named = {"iss": self._issuer, "aud": self._audience, "sub": subject, "iat": now, "exp": expires_at}
        return self._keys.sign({**named, **claims})

    def _verified_viewer(self, token: Unverified) -> Viewer:
        openid = self._openid
        # What an unverified token says of its issuer chooses the keys that it has to be signed with, and no more.
        if openid is None or token.issuer != openid.name:
            keys = self._keys.find(token.key_id, token.algorithm)
            return self._viewer_of(tokens.verified(token, keys, issuer=self._issuer, audience=self._audience))
        claims = tokens.verified(token, openid.keys(token), issuer=openid.name, audience=openid.audience)
        # Another issuer's `ada` is another person than ours.
        return self._viewer(f"{openid.name}#{claims['sub']}", openid.roles(claims), claims["exp"])

    @property
    def _local(self) -> Accounts:
        if self._accounts is None:
            raise Unauthenticated("There are no accounts here.")
        return self._accounts

    def _as(self, account: Account, viewer: Viewer) -> Viewer:
        return replace(
            viewer,
            roles=(account.role,),
            view=View(scopes_of([account.role], self._roles)),
            employee_key=account.employee_key,
            employee_number=account.employee_number,
            account=account,
        )

    def _login(self, claims: Mapping[str, Any]) -> SignIn:
        """Returns the login that an access token names. Raises Unauthenticated."""
        try:
            named = claims["acc"]
            # Processes of the release before, which may run beside this one, sign the number itself.
            account_id = named if type(named) is int else self._local.keys.open(named)
            return SignIn(account_id, UUID(claims["sid"]), datetime.fromtimestamp(claims["auth_time"], UTC))
        except (AttributeError, BrokenSeal, KeyError, OSError, OverflowError, TypeError, ValueError) as error:
            raise Unauthenticated("The token names its login wrongly.") from error

    def _viewer_of(self, claims: Mapping[str, Any]) -> Viewer:
        if "acc" in claims:
            nobody = replace(
                ANONYMOUS, subject=claims["sub"], expires_at=float(claims["exp"]), sign_in=self._login(claims)
            )
            return self.present(nobody)
        roles = claims.get("roles")
        if not isinstance(roles, list) or len(roles) > ROLES_MOST or not all(map(_is_name, roles)):
            raise Unauthenticated("The token carries no roles.")
        key, number = _employee(claims.get("employee") or None)
        return self._viewer(claims["sub"], tuple(roles), claims["exp"], key, number)

    def _viewer(
        self,
        subject: str,
        roles: tuple[str, ...],
        expires_at: float,
        employee_key: UUID | None = None,
        employee_number: str | None = None,
    ) -> Viewer:
        return Viewer(
            subject, roles, View(scopes_of(roles, self._roles)), employee_key, employee_number, float(expires_at)
        )


def _nothing() -> None:
    """What stops watching somebody about whom nothing changes."""


def _after(seconds: float) -> int:
    return int(time.time()) + int(seconds)


def _is_name(value: object) -> bool:
    return tokens.is_name(value, NAME_LENGTH_MOST)


def _employee(claim: Any) -> tuple[UUID | None, str | None]:
    """Returns the key and the number of the employee that a token names. Raises Unauthenticated."""
    if claim is None:
        return None, None
    try:
        key, number = UUID(claim["key"]), None if claim["number"] is None else str(claim["number"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Unauthenticated("The token names its employee wrongly.") from error
    if number is not None and not _is_name(number):
        raise Unauthenticated("The token names its employee wrongly.")
    return key, number
