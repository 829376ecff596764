"""Accounts in memory, as of the hub's head: who may still come in, and as what, without asking the database."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from graphql_app.domain.account import Account, LoginSession, SignIn
from graphql_app.domain.change import Change, Head
from graphql_app.domain.entity import LoginRole
from graphql_app.domain.errors import Unauthenticated, Unavailable
from graphql_app.domain.seal import Numbers
from graphql_app.live.feed.hub import Hub
from graphql_app.live.feed.isolation import isolated
from graphql_app.live.feed.staleness import Staleness
from graphql_app.observe import FeedFailed, note
from graphql_app.store.accounts import accounts as store
from graphql_app.store.postgres.database import Database
from graphql_app.store.schema.entities import ENTITIES

# A login is known here, as elsewhere, a moment after the account was made. So long it may take.
ARRIVAL_SECONDS = 5.0
# A process that knows only who was locked out so long ago, or earlier, lets nobody in.
SILENT_SECONDS_MOST = 10.0
# It reads what the feed has not brought yet of accounts, where that is long in coming: much else can be before it.
AHEAD_SECONDS = 2.0
LOOK_SECONDS = 0.5
RETRY_SECONDS = 0.5
TIDY_SECONDS = 60.0
CLOCKS_SECONDS = 60.0  # by so much the database's clock may differ from ours


class NotHeardOf(Unavailable):
    """The account is so new that the feed may not have brought it yet."""

    def __init__(self, sign_in: SignIn) -> None:
        super().__init__("This server has not heard of this login yet; try again.")
        self.sign_in = sign_in


class Accounts:
    """Loaded whole, then kept true by the feed: the hub tells it of a change before any mailbox is given that change
    or a later one. Whoever is signed in and watches is told at that very moment.

    What is taken in may come twice, and in another order, as it does when the log is read ahead of the feed: the newer
    version of an account stays, and neither a deleted account nor a revoked session comes back.

    `keys` names accounts in tokens: a row number would tell who holds one how many others there are."""

    def __init__(
        self,
        database: Database,
        hub: Hub,
        staleness: Staleness,
        keys: Numbers,
        *,
        access_seconds: float,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._hub = hub
        self._staleness = staleness
        self.keys = keys
        self._remembered_seconds = access_seconds + CLOCKS_SECONDS  # then no token of a revoked session is valid
        self._clock, self._monotonic = clock, monotonic
        self._accounts: dict[int, Account] = {}
        self._deleted: dict[int, float] = {}  # and until when they must be remembered
        self._revoked: dict[UUID, float] = {}  # sessions, likewise
        self._ahead_at: float | None = None  # of when is what the log was found to say beyond the feed
        self._missed: list[Change[Any]] | None = []  # what came while they are being loaded; None once they are
        self._to_load = asyncio.Event()
        self._watchers: dict[int, dict[Callable[[], None], None]] = {}
        hub.listen(self)

    async def run(self) -> None:
        """Loads the accounts, and again whenever the history is another. Never returns; end it by cancelling."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_tidy(), name="forgetting of logins")
            while True:
                await self._once()

    async def _once(self) -> None:
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                await self._to_load.wait()
        except TimeoutError:
            if not self._is_behind:
                return
        try:
            if self._to_load.is_set():
                self._to_load.clear()
                await self._load()
            else:
                await self._read_ahead()
        except Exception as error:  # noqa: BLE001  # the supervisor of loading: noted, and tried again
            note(FeedFailed(error))
            if self._missed is not None:
                self._to_load.set()
            await asyncio.sleep(RETRY_SECONDS)

    # --- asked -------------------------------------------------------------------------------------------------------

    def of(self, sign_in: SignIn) -> Account:
        """Returns the account behind a login, as it is now.

        Raises Unauthenticated when the login is over, Unavailable when this process cannot know, and NotHeardOf where
        it may know in a moment.
        """
        silent = self._silent_seconds
        if self._missed is not None or silent is None or silent > SILENT_SECONDS_MOST:
            raise Unavailable("This server does not know at present who is still logged in; try again.")
        account = self._accounts.get(sign_in.account_id)
        if account is None:
            # It may have been made since the feed was heard last.
            is_new = self._clock() - sign_in.at.timestamp() < ARRIVAL_SECONDS + silent
            raise NotHeardOf(sign_in) if is_new and sign_in.account_id not in self._deleted else _over()
        if account.is_disabled or sign_in.at < account.tokens_from or sign_in.session in self._revoked:
            raise _over()
        return account

    @property
    def _silent_seconds(self) -> float | None:
        """Returns how long ago this process last knew the present; None when it never did."""
        heard = self._staleness.silent_seconds
        if self._ahead_at is None:
            return heard
        ahead = self._monotonic() - self._ahead_at
        return ahead if heard is None else min(heard, ahead)

    @property
    def _is_behind(self) -> bool:
        silent = self._silent_seconds
        return self._missed is None and (silent is None or silent > AHEAD_SECONDS)

    async def arrival(self, sign_in: SignIn) -> None:
        """Waits until something is heard of the account, or for as long as that may take."""
        arrived = asyncio.Event()
        stop = self.watch(sign_in, arrived.set)
        try:
            async with asyncio.timeout(ARRIVAL_SECONDS):
                await arrived.wait()
        except TimeoutError:
            pass
        finally:
            stop()

    def learn(self, account: Account) -> None:
        """Takes in what somebody has just read of an account; it may be newer than what the feed has brought."""
        known = self._accounts.get(account.id)
        if account.id not in self._deleted and (known is None or known.version < account.version):
            self._accounts[account.id] = account
            self._tell(account.id)

    def watch(self, sign_in: SignIn, changed: Callable[[], None]) -> Callable[[], None]:
        """Calls `changed` whenever something about the account or its sessions changes, before anybody is told of a
        later change. Returns what stops watching."""
        self._watchers.setdefault(sign_in.account_id, {})[changed] = None
        return lambda: self._unwatch(sign_in.account_id, changed)

    def _unwatch(self, account_id: int, changed: Callable[[], None]) -> None:
        watchers = self._watchers.get(account_id, {})
        watchers.pop(changed, None)
        if not watchers:
            self._watchers.pop(account_id, None)

    # --- told by the feed --------------------------------------------------------------------------------------------

    def delivered(self, changes: Sequence[Change[Any]], head: Head) -> None:
        told = [change for change in changes if ENTITIES[change.entity].login is not None]
        if self._missed is not None:
            self._missed += told
        for account_id in dict.fromkeys(account_id for change in told for account_id in self._apply(change)):
            self._tell(account_id)

    def restarted(self, head: Head) -> None:
        """Makes the accounts unknown until they are read anew."""
        self._missed = []
        self._ahead_at = None
        self._deleted.clear()
        self._to_load.set()
        for account_id in list(self._watchers):
            self._tell(account_id)

    def _apply(self, change: Change[Any]) -> list[int]:
        """Takes a change in. Returns whose accounts it is about."""
        role = ENTITIES[change.entity].login
        return _APPLIED[role](self, change) if role is not None else []

    def _apply_account(self, change: Change[Account]) -> list[int]:
        if change.after is None:
            self._accounts.pop(change.key, None)
            self._deleted[change.key] = self._clock() + self._remembered_seconds
        elif change.key in self._deleted:
            pass
        elif change.key not in self._accounts or self._accounts[change.key].version <= change.after.version:
            self._accounts[change.key] = change.after
        return [change.key]

    def _apply_session(self, change: Change[LoginSession]) -> list[int]:
        session = change.after or change.before
        assert session is not None
        if change.after is not None and change.after.revoked_at is None:
            return []
        self._revoked[session.key] = self._clock() + self._remembered_seconds
        return [session.account_id]

    def _apply_employee(self, change: Change[Any]) -> list[int]:
        """The number of an employee is shown to themselves. Another key, or none, is a change of the account."""
        if change.before is None or change.after is None:
            return []
        key, number = UUID(change.after["public_key"]), change.after["employee_number"]
        if number == change.before["employee_number"]:
            return []
        concerned = [one for one in self._accounts.values() if one.employee_key == key]
        for account in concerned:
            self._accounts[account.id] = replace(account, employee_number=number)
        return [account.id for account in concerned]

    def _tell(self, account_id: int) -> None:
        for changed in list(self._watchers.get(account_id, ())):
            isolated("accounts", changed)

    # --- loading and forgetting --------------------------------------------------------------------------------------

    async def _load(self) -> None:
        async with self._database.snapshot() as connection:
            snapshot = await store.accounts_snapshot(connection, self._remembered_seconds)
        if self._to_load.is_set():
            return  # another history began meanwhile
        missed = self._missed or []
        until = self._clock() + self._remembered_seconds
        self._accounts = {account.id: account for account in snapshot.accounts}
        self._revoked |= dict.fromkeys(snapshot.revoked, until)
        # Some of it is in what was read: an account that is newer there stays as it is.
        for change in missed:
            self._apply(change)
        self._missed = None
        for account_id in list(self._watchers):
            self._tell(account_id)

    async def _read_ahead(self) -> None:
        """Takes in what the feed will bring. Logins that are open go on and others do not, however much it has to bring
        before that."""
        here, began = self._hub.head, self._monotonic()
        if here is None:
            return
        async with self._database.snapshot() as connection:
            found = await store.beyond(connection, here)
        if found is None or self._missed is not None:  # another history
            return
        for account_id in dict.fromkeys(account_id for change in found for account_id in self._apply(change)):
            self._tell(account_id)
        self._ahead_at = began

    async def _keep_tidy(self) -> None:
        while True:
            await asyncio.sleep(TIDY_SECONDS)
            self._tidy()

    def _tidy(self) -> None:
        now = self._clock()
        self._deleted = {account: until for account, until in self._deleted.items() if until > now}
        self._revoked = {session: until for session, until in self._revoked.items() if until > now}


_APPLIED: Mapping[LoginRole, Callable[[Accounts, Change[Any]], list[int]]] = {
    LoginRole.ACCOUNT: Accounts._apply_account,
    LoginRole.SESSION: Accounts._apply_session,
    LoginRole.PERSON: Accounts._apply_employee,
}


def _over() -> Unauthenticated:
    return Unauthenticated("This login is over; log in again.")
