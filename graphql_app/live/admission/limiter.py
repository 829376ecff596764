"""Limits over all processes: decided here at once, from what is at hand, and settled with Redis in the background."""

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from graphql_app.domain.connection_limits import ConnectionLimit, ConnectionLimits
from graphql_app.domain.errors import RateLimited
from graphql_app.domain.token_buckets import TokenBuckets, TokenRate
from graphql_app.live.admission.leases import ConnectionLease, too_many
from graphql_app.observe import IsolatedFailure, LimitsLost, LimitsWhole, Refused, note
from graphql_app.store.redis.limits import LimitStore
from graphql_app.store.redis.presence import Away

SETTLE_SECONDS = 0.05  # what is asked meanwhile is told together
BEAT_SECONDS = 2.0  # how often it is said that this process is there, and asked how many there are
RENEW_SECONDS = 10.0  # how often all that is open is told anew
KEPT_SECONDS = 30.0  # for so long the connections of a process that was killed count on
AWAY_SECONDS = 1.0  # how often it is looked whether Redis is back
AT_ONCE_MOST = 500  # keys in one exchange: Redis does nothing else meanwhile


class Balance(Protocol):
    """What this process knows of one limit's balance in Redis."""

    @property
    def unsettled(self) -> int: ...
    def share_among(self, processes: int) -> None: ...
    def part(self) -> None: ...
    def meet(self) -> None: ...


class Limiter:
    """Runs in every process. `processes`: how many there are, until Redis says so."""

    def __init__(
        self,
        store: LimitStore,
        rates: Sequence[TokenRate],
        ceilings: Sequence[ConnectionLimit],
        *,
        processes: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._rates = {rate.name: TokenBuckets(rate, processes=processes) for rate in rates}
        self._ceilings = {ceiling.name: ConnectionLimits(ceiling, processes=processes) for ceiling in ceilings}
        self._accounts: list[Balance] = [*self._rates.values(), *self._ceilings.values()]
        self._clock = clock
        self._woken = asyncio.Event()
        self._beat_at = self._renew_at = 0.0
        self._is_whole: bool | None = None

    def take(self, name: str, key: str, count: int = 1) -> None:
        """Counts so many against the rate of that name, if there is one. Raises RateLimited."""
        rates = self._rates.get(name)
        if rates is None:
            return
        wait_seconds = rates.take(key, count, self._clock())
        if rates.unsettled and not self._woken.is_set():
            self._woken.set()
        if wait_seconds:
            note(Refused(name))
            raise _too_often(rates.rate, count, wait_seconds)

    def enter(self, name: str, key: str, also: ConnectionLease | None = None) -> ConnectionLease:
        """Counts one more connection under the limit of that name, if there is one. Raises TooManyConnections."""
        ceilings = self._ceilings.get(name)
        admitted = ConnectionLease(ceilings, key, self._woken, also)
        if ceilings is not None:
            self._woken.set()
            if not ceilings.enter(key, admitted):
                note(Refused(name))
                raise too_many(ceilings.ceiling)
        return admitted

    async def run(self) -> None:
        """Settles with Redis at intervals. Never returns; end it by cancelling."""
        while True:
            until_beat = self._beat_at - self._clock()
            if until_beat > 0 and not self._is_due:
                self._woken.clear()
                try:
                    async with asyncio.timeout(until_beat):
                        await self._woken.wait()
                except TimeoutError:
                    pass
            await asyncio.sleep(SETTLE_SECONDS)
            try:
                await self.settle()
            except Away as away:
                self._part(str(away))
                await asyncio.sleep(AWAY_SECONDS)
            except Exception as error:  # noqa: BLE001  # the supervisor of limits: noted, and as if Redis were away
                note(IsolatedFailure("limits", error))
                self._part(f"{type(error).__name__}: {error}")
                await asyncio.sleep(AWAY_SECONDS)

    async def settle(self) -> None:
        """Tells Redis all that is to be told, once. Raises Away."""
        if self._beat_at <= self._clock() or not self._is_whole:
            await self._beat()
        for rates in self._rates.values():
            for _ in range(0, rates.unsettled, AT_ONCE_MOST):  # what comes meanwhile is for the next time
                claims = rates.due(AT_ONCE_MOST)
                rates.settle(claims, await self._store.take(rates.rate, claims))
            rates.forget(self._clock())
        for ceilings in self._ceilings.values():
            for _ in range(0, ceilings.unsettled, AT_ONCE_MOST):
                told = ceilings.due(AT_ONCE_MOST)
                ceilings.settle(told, await self._store.open(ceilings.ceiling, told))

    @property
    def _is_due(self) -> bool:
        return any(account.unsettled for account in self._accounts)

    async def _beat(self) -> None:
        processes = await self._store.beat(kept_seconds=3 * BEAT_SECONDS)
        now = self._clock()
        self._beat_at = now + BEAT_SECONDS
        for account in self._accounts:
            account.share_among(processes)
            account.meet()
        if self._renew_at <= now:
            self._renew_at = now + RENEW_SECONDS
            for ceilings in self._ceilings.values():
                ceilings.renew()
        if not self._is_whole:
            self._is_whole = True
            note(LimitsWhole())

    def _part(self, why: str) -> None:
        for account in self._accounts:
            account.part()
        if self._is_whole is not False:
            self._is_whole = False
            note(LimitsLost(why))


def _too_often(rate: TokenRate, count: int, wait_seconds: float) -> RateLimited:
    retry_after = math.ceil(wait_seconds)
    message = (
        f"Too many {rate.name}: {rate.per_second:g} a second are allowed, {rate.burst} at once; "
        f"come back in {retry_after} s."
    )
    return RateLimited(
        message, measure=rate.name, limit=rate.per_second, burst=rate.burst, asked=count, retry_after=retry_after
    )
