"""Logging in and out in the schema."""

from datetime import datetime
from typing import Annotated, Any

import strawberry
from strawberry import Parent, argument

from graphql_app.domain.access import Viewer
from graphql_app.graph.api.context import AppInfo
from graphql_app.graph.api.mutations import mutation_result
from graphql_app.graph.api.refusals import (
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    ReadOnly,
    TooMany,
    Unauthenticated,
    union,
)
from graphql_app.graph.api.types import Me
from graphql_app.services.identity import authenticate

# What may be asked without a token, and with one that has expired: how else would one get another?
OPEN = frozenset({"login", "refreshToken"})  # the mutations that need no token


@strawberry.type(description="You are logged in. Send `accessToken` with every request: `Authorization: Bearer …`.")
class SignedIn:
    access_token: str = strawberry.field(description="Says who you are, for a few minutes.")
    refresh_token: str = strawberry.field(
        description="Good for one `refreshToken`, before or after the access token has expired. Keep it safe: it is"
        " worth as much as the password."
    )
    refresh_expires_at: datetime = strawberry.field(description="When that must have happened.")

    @strawberry.field(description="When the access token expires.")
    @staticmethod
    def expires_at(root: Parent[authenticate.SignedIn]) -> datetime:
        return datetime.fromtimestamp(root.viewer.expires_at).astimezone()

    @strawberry.field(graphql_type=Me, description="Whom the server takes you for.")
    @staticmethod
    def viewer(root: Parent[authenticate.SignedIn]) -> Viewer:
        return root.viewer

    @classmethod
    def is_type_of(cls, value: object, _: object) -> bool:
        return isinstance(value, (cls, authenticate.SignedIn))


@strawberry.type(description="The session has ended: neither of its tokens is good for anything any more.")
class SignedOut:
    account: str = strawberry.field(description="Name of the account that you were logged in to.")


@strawberry.type(description="All sessions of the account have ended: whoever used them must log in again.")
class SessionsRevoked:
    count: int = strawberry.field(description="How many were open.")


LoginResult = Annotated[
    SignedIn | Unauthenticated | InvalidInput | TooMany | Conflict | Forbidden | ReadOnly,
    union("LoginResult", "login"),
]
RefreshResult = Annotated[
    SignedIn | Unauthenticated | InvalidInput | Conflict | Forbidden | ReadOnly,
    union("RefreshTokenResult", "refreshToken"),
]
LogoutResult = Annotated[SignedOut | InvalidInput | Conflict | ReadOnly, union("LogoutResult", "logout")]
RevokeResult = Annotated[
    SessionsRevoked | NotFound | InvalidInput | Conflict | Forbidden | ReadOnly,
    union("RevokeSessionsResult", "revokeSessions"),
]


@strawberry.type(description="What can be done about being logged in.")
class AccountMutations:
    @strawberry.mutation(
        graphql_type=LoginResult,
        description="Logs in with the name and the password of a local account. Needs no token.",
    )
    async def login(
        self,
        info: AppInfo,
        name: Annotated[str, argument(description="Of the account; capital letters do not matter.")],
        password: Annotated[str, argument(description="Its password. Send it as a variable, not in the document.")],
    ) -> Any:
        context = info.context
        service = context.services.authenticate
        return await mutation_result(
            info, lambda: service.login(context.caller, name, password, context.user_agent), _as_it_is
        )

    @strawberry.mutation(
        graphql_type=RefreshResult,
        description="Exchanges a refresh token for a new access token and the next refresh token. Needs no other. On a"
        " socket of the same login, that socket stays open until the new access token expires.",
    )
    async def refresh_token(
        self, info: AppInfo, token: Annotated[str, argument(description="The refresh token that was given last.")]
    ) -> Any:
        context = info.context
        service = context.services.authenticate

        def renewed(done: authenticate.SignedIn) -> authenticate.SignedIn:
            if context.renew is not None:
                context.renew(done.viewer)
            return done

        return await mutation_result(info, lambda: service.refresh(context.caller, token, context.user_agent), renewed)

    @strawberry.mutation(graphql_type=LogoutResult, description="Ends the session that the token comes from.")
    async def logout(self, info: AppInfo) -> Any:
        service, caller = info.context.services.authenticate, info.context.caller
        return await mutation_result(info, lambda: service.logout(caller), lambda account: SignedOut(account=account))

    @strawberry.mutation(
        graphql_type=RevokeResult,
        description="Ends all sessions of an account: open sockets and streams too, everywhere, within 2 seconds.",
    )
    async def revoke_sessions(
        self,
        info: AppInfo,
        account: Annotated[
            str | None, argument(description="Its name; your own, unless told. Another's needs the scope `admin`.")
        ] = None,
    ) -> Any:
        service, caller = info.context.services.authenticate, info.context.caller
        return await mutation_result(
            info, lambda: service.revoke(caller, account), lambda count: SessionsRevoked(count=count)
        )


def _as_it_is(done: authenticate.SignedIn) -> authenticate.SignedIn:
    return done
