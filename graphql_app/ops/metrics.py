"""Events as Prometheus metrics, summed over all worker processes."""

import asyncio
import os
from bisect import bisect_left
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

from graphql_app import observe

LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
HAND_OVER_SECONDS = 1.0

# The close codes that are counted one by one: those of RFC 6455, 7.4.1 that there are, and those of our protocol. A
# client may send any other, and each would be a series of its own: they are counted by their range.
CLOSE_CODES = frozenset({*range(1000, 1004), *range(1005, 1015), 4400, 4401, 4403, 4406, 4408, 4409, 4429, 4500})
CLOSE_RANGES = {1: "1xxx", 3: "3xxx", 4: "4xxx"}


class Latencies(Histogram):
    """A histogram that takes what was sorted into its buckets elsewhere."""

    def observe_all(self, in_buckets: Sequence[int], seconds: float) -> None:
        """So many in each of its buckets, the last one being for what is longer than all bounds; `seconds` in all."""
        self._sum.inc(seconds)
        for bucket, number in zip(self._buckets, in_buckets, strict=True):
            bucket.inc(number)


OPERATIONS = Counter("graphql_app_operations_total", "GraphQL operations", ["kind", "result"])
OPERATION_SECONDS = Latencies("graphql_app_operation_seconds", "Time to answer", ["kind"], buckets=LATENCY_BUCKETS)
INCIDENTS = Counter("graphql_app_incidents_total", "Unexpected errors, masked to the client")
REFUSALS = Counter("graphql_app_refusals_total", "Requests refused by a limit", ["limit"])
ISOLATED = Counter("graphql_app_isolated_failures_total", "Parts that raised and were left out", ["where"])
LIMITS = Gauge("graphql_app_limits_whole", "Processes that share their limits", multiprocess_mode="livesum")
ANSWERS = Counter("graphql_app_answers_total", "Finished answers by what became of them", ["result"])
ANSWERS_KEPT = Gauge("graphql_app_answers_kept", "Finished answers in memory", multiprocess_mode="livesum")
ANSWERS_BYTES = Gauge("graphql_app_answers_bytes", "What they take", multiprocess_mode="livesum")
LOGINS = Counter("graphql_app_logins_total", "Logins with a password", ["result"])
REFRESHES = Counter("graphql_app_refreshes_total", "Refresh tokens presented, by what they were", ["result"])
SOCKETS = Gauge("graphql_app_sockets_open", "Open WebSockets", multiprocess_mode="livesum")
SUBSCRIPTIONS = Gauge("graphql_app_subscriptions_open", "Running subscriptions", multiprocess_mode="livesum")
CLOSES = Counter("graphql_app_socket_closes_total", "Closed WebSockets", ["code"])
UNREAD = Counter("graphql_app_answers_unread_total", "HTTP clients cut because they read nothing")
UNFINISHED = Counter("graphql_app_requests_unfinished_total", "HTTP clients cut because their request had no end")
CHANGES = Counter("graphql_app_changes_total", "Changes numbered by the feed")
REVISION = Gauge("graphql_app_revision", "Newest revision", multiprocess_mode="max")
DELIVERIES = Counter("graphql_app_deliveries_total", "Payloads handed to subscribers")
COMMIT_TO_SEND = Histogram(
    "graphql_app_commit_to_send_seconds", "From the oldest change in a payload to its sending", buckets=LATENCY_BUCKETS
)
LEADING = Gauge("graphql_app_feed_leading", "Processes that lead the feed", multiprocess_mode="livesum")
FEED_FAILURES = Counter("graphql_app_feed_failures_total", "Interruptions of the feed")
UNREADABLE = Counter("graphql_app_log_entries_unreadable_total", "Entries left out, as nobody can read them", ["log"])
UNKNOWN = Counter("graphql_app_log_entries_unknown_total", "Entries passed over, of an entity nobody knows")
SILENT = Gauge("graphql_app_feed_silent", "Processes that do not hear the feed", multiprocess_mode="livesum")
BROADCAST = Gauge("graphql_app_broadcast_connected", "Processes connected to broadcast", multiprocess_mode="livesum")
PRESENCE = Gauge(
    "graphql_app_presence_whole", "Processes that know who is connected elsewhere", multiprocess_mode="livesum"
)
GAPS = Counter("graphql_app_gaps_filled_total", "Gaps of the relay, filled from the log")
RESYNCS = Counter("graphql_app_resyncs_total", "Subscribers sent a new snapshot")
PRUNED = Counter("graphql_app_rows_pruned_total", "Old rows forgotten", ["table"])
DUTY_FAILURES = Counter("graphql_app_duty_failures_total", "Failures of time-driven duties", ["duty"])
CACHE_READS = Counter("graphql_app_cache_reads_total", "Floors and workstations looked for in memory", ["result"])
CACHE_LOADS = Counter("graphql_app_cache_loads_total", "Floors read into memory")
CACHE_EVICTIONS = Counter("graphql_app_cache_evictions_total", "Floors forgotten to make room, or as nobody used them")
CACHE_FLOORS = Gauge("graphql_app_cache_floors", "Floors in memory", multiprocess_mode="livesum")
CACHE_ROWS = Gauge(
    "graphql_app_cache_rows", "Workstations in memory, copies for views included", multiprocess_mode="livesum"
)
CACHE_ON = Gauge("graphql_app_cache_on", "Processes that answer from memory", multiprocess_mode="livesum")
SHARED_CACHE_READS = Counter("graphql_app_shared_cache_reads_total", "Floors looked for in Redis", ["result"])
SHARED_CACHE_FAILURES = Counter("graphql_app_shared_cache_failures_total", "Times that Redis was too slow for a floor")
ISSUER_FAILURES = Counter("graphql_app_issuer_failures_total", "Times that the OpenID issuer did not tell its keys")
POOL_IN_USE = Gauge("graphql_app_database_pool_in_use", "Database connections in use", multiprocess_mode="livesum")
POOL_SIZE = Gauge("graphql_app_database_pool_size", "Database connections at most", multiprocess_mode="livesum")
READ_POOL_IN_USE = Gauge(
    "graphql_app_database_read_pool_in_use", "Database connections that read, in use", multiprocess_mode="livesum"
)
READ_POOL_SIZE = Gauge(
    "graphql_app_database_read_pool_size", "Database connections that read, at most", multiprocess_mode="livesum"
)
POOLS = {"engine": (POOL_IN_USE, POOL_SIZE), "reads": (READ_POOL_IN_USE, READ_POOL_SIZE)}
REFUSES_WRITES = Gauge(
    "graphql_app_database_refuses_writes", "Whether the database stores nothing at present", multiprocess_mode="livesum"
)
MOVES = Counter("graphql_app_database_moves_total", "Times that another host of the database became the primary")


class MetricTally:
    """Operations of one kind and result that were not handed over yet. A counter takes its lock, and a histogram looks
    through its buckets, each time: that would cost as much as a kept answer does."""

    def __init__(self, kind: str, failed: bool) -> None:
        self._total, self._seconds = (
            OPERATIONS.labels(kind, "error" if failed else "ok"),
            OPERATION_SECONDS.labels(kind),
        )
        self._in_buckets, self._sum = [0] * (len(LATENCY_BUCKETS) + 1), 0.0

    def add(self, seconds: float) -> None:
        self._in_buckets[bisect_left(LATENCY_BUCKETS, seconds)] += 1
        self._sum += seconds

    def hand_over(self) -> None:
        self._total.inc(sum(self._in_buckets))
        self._seconds.observe_all(self._in_buckets, self._sum)
        self._in_buckets, self._sum = [0] * len(self._in_buckets), 0.0


_tallies: dict[tuple[str, bool], MetricTally] = {}


def _tally(kind: str, failed: bool) -> MetricTally:
    tally = _tallies.get((kind, failed))
    if tally is None:
        tally = _tallies[kind, failed] = MetricTally(kind, failed)
    return tally


def hand_over() -> None:
    for tally in _tallies.values():
        tally.hand_over()


async def run() -> None:
    """Lets the other workers know what this one counted. Never returns; end it by cancelling."""
    try:
        while True:
            await asyncio.sleep(HAND_OVER_SECONDS)
            hand_over()
    finally:
        hand_over()


def count(news: observe.News) -> None:  # noqa: PLR0912, PLR0915  # one arm for each kind of news is what it is
    match news:
        case observe.OperationEnded(kind, seconds, failed):
            _tally(kind, failed).add(seconds)
        case observe.AnswersCounted(hits, misses, dropped, evicted, kept, size):
            for result, number in (("hit", hits), ("miss", misses), ("dropped", dropped), ("evicted", evicted)):
                ANSWERS.labels(result).inc(number)
            ANSWERS_KEPT.set(kept)
            ANSWERS_BYTES.set(size)
        case observe.Unexpected():
            INCIDENTS.inc()
        case observe.Refused(limit):
            REFUSALS.labels(limit).inc()
        case observe.OriginRefused():
            REFUSALS.labels("origin").inc()
        case observe.IsolatedFailure(where):
            ISOLATED.labels(where).inc()
        case observe.LoginEnded(result):
            LOGINS.labels(result).inc()
        case observe.RefreshEnded(result):
            REFRESHES.labels(result).inc()
        case observe.LimitsWhole():
            LIMITS.set(1)
        case observe.LimitsLost():
            LIMITS.set(0)
        case observe.SocketOpened():
            SOCKETS.inc()
        case observe.SocketClosed(code):
            SOCKETS.dec()
            CLOSES.labels(close_label(code)).inc()
        case observe.AnswerUnread():
            UNREAD.inc()
        case observe.RequestUnfinished():
            UNFINISHED.inc()
        case observe.Subscribed():
            SUBSCRIPTIONS.inc()
        case observe.Unsubscribed():
            SUBSCRIPTIONS.dec()
        case observe.ChangesNumbered(number, revision):
            CHANGES.inc(number)
            REVISION.set(revision)
        case observe.ChangesDelivered(_, subscribers, oldest_seconds):
            DELIVERIES.inc(subscribers)
            COMMIT_TO_SEND.observe(max(0.0, oldest_seconds))
        case observe.LeadershipChanged(leading, _):
            LEADING.set(int(leading))
        case observe.FeedFailed():
            FEED_FAILURES.inc()
        case observe.EntryUnreadable(log):
            UNREADABLE.labels(log).inc()
        case observe.EntriesUnknown(_, entries):
            UNKNOWN.inc(entries)
        case observe.FeedSilent():
            SILENT.set(1)
        case observe.FeedHeard():
            SILENT.set(0)
        case observe.BroadcastConnected():
            BROADCAST.set(1)
        case observe.BroadcastLost():
            BROADCAST.set(0)
        case observe.PresenceWhole():
            PRESENCE.set(1)
        case observe.PresenceLost():
            PRESENCE.set(0)
        case observe.GapFilled():
            GAPS.inc()
        case observe.Resynced():
            RESYNCS.inc()
        case observe.RowsPruned(table, number):
            PRUNED.labels(table).inc(number)
        case observe.JobFailed(name):
            DUTY_FAILURES.labels(name).inc()
        case observe.CachesCounted():
            _count_caches(news)
        case observe.SharedCacheAsked(result):
            SHARED_CACHE_READS.labels(result).inc()
        case observe.SharedCacheLost():
            SHARED_CACHE_FAILURES.inc()
        case observe.IssuerLost():
            ISSUER_FAILURES.inc()
        case observe.WritesRefused():
            REFUSES_WRITES.set(1)
        case observe.WritesAccepted():
            REFUSES_WRITES.set(0)
        case observe.DatabaseMoved():
            MOVES.inc()
        case observe.PoolState(in_use, size, pool):
            used, most = POOLS[pool]
            used.set(in_use)
            most.set(size)


def close_label(code: int) -> str:
    """Returns the label of a close code. A client chooses its code, so that there are few labels."""
    return str(code) if code in CLOSE_CODES else CLOSE_RANGES.get(code // 1000, "other")


def _count_caches(news: observe.CachesCounted) -> None:
    CACHE_READS.labels("hit").inc(news.hits)
    CACHE_READS.labels("miss").inc(news.misses)
    CACHE_LOADS.inc(news.loads)
    CACHE_EVICTIONS.inc(news.evictions)
    CACHE_FLOORS.set(news.floors)
    CACHE_ROWS.set(news.rows)
    CACHE_ON.set(int(news.is_on))


def exposition(directory: Path | None) -> tuple[bytes, str]:
    """Returns all metrics as text, and its media type. `directory` is shared by the workers; without it, this process
    alone."""
    hand_over()
    if directory is None:
        return generate_latest(REGISTRY), CONTENT_TYPE_LATEST
    _forget_the_dead(directory)
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry, path=str(directory))  # type: ignore[no-untyped-call]  # it has no types
    return generate_latest(registry), CONTENT_TYPE_LATEST


def _forget_the_dead(directory: Path) -> None:
    """Removes the gauges of workers that were killed: they would be counted as open for ever."""
    for file in directory.glob("gauge_live*_*.db"):
        pid = int(file.stem.rsplit("_", 1)[1])
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            with suppress(FileNotFoundError):
                file.unlink()
        except PermissionError:
            pass  # alive, and somebody else's
