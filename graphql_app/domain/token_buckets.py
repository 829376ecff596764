"""How often anybody may ask, counted over all processes: what this process has at hand of it, and what it owes.

Each key has one bucket of tokens, in Redis. A process holds a part of them, spends it without asking anybody, and
settles with Redis in the background. What it holds of a key that it meets for the first time is its share of a burst:
taken on credit, owed to the bucket, and so no more than what all of them together may give out.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

KEYS_MOST = 20_000  # a few megabytes; those not heard of for longest are forgotten
FORGOTTEN_AT_ONCE = 1000
WAIT_LEAST = 0.1  # seconds; what others leave is known by then


@dataclass(frozen=True, slots=True)
class TokenRate:
    """So many a second in the long run, and after a rest so many at once."""

    name: str  # as a refusal says it: "operations of one user"
    per_second: float
    burst: int

    @property
    def rest_seconds(self) -> float:
        """After this all is forgotten: the bucket is full."""
        return self.burst / self.per_second


@dataclass(slots=True)
class Tokens:
    """What this process has of one key."""

    held: float
    owed: float  # taken, and not told yet
    at: float  # when somebody asked last
    era: int  # which time together with Redis it is of
    asked: float = 0.0  # since Redis was told last


@dataclass(frozen=True, slots=True)
class TokenClaim:
    """What Redis is told of a key, and asked for."""

    key: str
    tokens: Tokens
    owed: float
    wanted: int


class TokenBuckets:
    """One rate, for all its keys."""

    def __init__(self, rate: TokenRate, *, processes: int = 1, keys_most: int = KEYS_MOST) -> None:
        self.rate = rate
        self._keys_most = keys_most
        self._held: OrderedDict[str, Tokens] = OrderedDict()
        self._due: OrderedDict[str, Tokens] = OrderedDict()
        self._is_alone = False
        self._era = 0
        self.share_among(processes)

    def __len__(self) -> int:
        return len(self._held)

    @property
    def unsettled(self) -> int:
        """Of how many keys Redis is to be told."""
        return len(self._due)

    def share_among(self, processes: int) -> None:
        """So many processes give out tokens."""
        self._processes = processes
        self._share = max(1.0, self.rate.burst / processes)

    def take(self, key: str, count: int, now: float) -> float:
        """0 when so many may be done now; else nothing is taken, and the seconds until then are returned."""
        tokens = self._held.get(key)
        if tokens is None:
            tokens = self._begun(key, now)
        else:
            self._held.move_to_end(key)
            if self._is_alone:
                self._fill(tokens, now)
            elif tokens.era != self._era:
                self._owe(key, tokens)
        tokens.at = now
        tokens.asked += count
        if tokens.held < count:
            self._settle_soon(key, tokens)
            return max(WAIT_LEAST, (count - tokens.held) / self.rate.per_second)
        tokens.held -= count
        if tokens.held + tokens.held < self._share:
            self._settle_soon(key, tokens)
        return 0.0

    # --- with Redis, in the background -------------------------------------------------------------------------------

    def due(self, most: int) -> list[TokenClaim]:
        """What is to be told and asked, those that wait longest first."""
        claims: list[TokenClaim] = []
        while self._due and len(claims) < most:
            key, tokens = self._due.popitem(last=False)
            wanted = max(self._share, 2 * tokens.asked) - tokens.held
            claims.append(TokenClaim(key, tokens, tokens.owed, max(0, int(wanted))))
            tokens.asked = 0.0
        return claims

    def settle(self, claims: Iterable[TokenClaim], granted: Iterable[int]) -> None:
        """Redis was told, and gave these."""
        for claim, tokens in zip(claims, granted, strict=True):
            claim.tokens.owed -= claim.owed
            claim.tokens.held += tokens

    def part(self) -> None:
        """Redis is away: until meet() what is held fills up by itself, each process giving out its share."""
        self._is_alone = True
        self._due.clear()

    def meet(self) -> None:
        """Redis is back, and knows nothing of what was given out meanwhile. Whatever was spent of the share and is not
        back yet, and whatever is held of it, is missing in the bucket: together that is the share."""
        if self._is_alone:
            self._is_alone = False
            self._era += 1

    def forget(self, now: float) -> None:
        """Drops what nobody asked for since its bucket was full at the latest."""
        for _ in range(FORGOTTEN_AT_ONCE):
            key, tokens = next(iter(self._held.items()), (None, None))
            if key is None or tokens is None or tokens.at > now - self.rate.rest_seconds:
                return
            del self._held[key]

    def _begun(self, key: str, now: float) -> Tokens:
        tokens = self._due.get(key)  # one that was forgotten for want of room, but still owes
        if tokens is None:
            tokens = Tokens(self._share, 0.0, now, self._era)
            if not self._is_alone:
                self._owe(key, tokens)
        self._held[key] = tokens
        if len(self._held) > self._keys_most:
            self._held.popitem(last=False)
        return tokens

    def _owe(self, key: str, tokens: Tokens) -> None:
        tokens.owed, tokens.era = self._share, self._era
        self._settle_soon(key, tokens)

    def _fill(self, tokens: Tokens, now: float) -> None:
        if tokens.held < self._share:
            filled = tokens.held + (now - tokens.at) * self.rate.per_second / self._processes
            tokens.held = min(self._share, filled)

    def _settle_soon(self, key: str, tokens: Tokens) -> None:
        if not self._is_alone:
            self._due[key] = tokens
            if len(self._due) > 2 * self._keys_most:  # with those that had to make room, and owe
                self._due.popitem(last=False)
