"""The use cases, on what the store keeps and what moves."""

from contextlib import AsyncExitStack
from datetime import timedelta

from graphql_app.aio.cooperative import CooperativeScheduler
from graphql_app.app.entities import SNAPSHOT_ROWS
from graphql_app.app.identity import identify, openid_issuer, refused_passwords, role_table
from graphql_app.app.live import Live
from graphql_app.app.loops import Loops
from graphql_app.app.store import Stores
from graphql_app.domain.reservation import CheckInRule
from graphql_app.graph.api.context import Services
from graphql_app.live.admission.budgets import Budgets
from graphql_app.live.admission.limits import Limits
from graphql_app.live.feed.mailbox import Batching
from graphql_app.services.audit import Audit
from graphql_app.services.booking.book import Book
from graphql_app.services.booking.look import Look
from graphql_app.services.consistency import ConsistencyTokens
from graphql_app.services.cursors import FeedCursors, PageCursors
from graphql_app.services.following.cohorts import Cohorts
from graphql_app.services.following.follow import Follow
from graphql_app.services.following.history import History
from graphql_app.services.following.streams import StreamLimits
from graphql_app.services.identity.authenticate import Authenticate, Lifetimes
from graphql_app.services.identity.identify import Identify
from graphql_app.services.identity.passwords import Passwords
from graphql_app.services.importing.exporting import Exporting
from graphql_app.services.notifications import Notify
from graphql_app.services.office.arrange import Arrange
from graphql_app.services.office.arrange_several import ArrangeSeveral
from graphql_app.services.office.browse import Browse
from graphql_app.services.office.directory import Directory
from graphql_app.services.office.register import Register
from graphql_app.settings import Settings
from graphql_app.store.postgres.database import Database


def services_of(
    settings: Settings,
    stores: Stores,
    live: Live,
    limits: Limits,
    cohorts: Cohorts,
    turns: CooperativeScheduler,
    loops: Loops,
    stack: AsyncExitStack,
) -> Services:
    database, floor_projection, page_most = stores.database, live.floor_projection, settings.page_most
    history = History(
        database,
        live.hub,
        live.recall,
        live.watchdog,
        turns,
        SNAPSHOT_ROWS,
        catch_up_most=settings.catch_up_most,
        floor_projection=floor_projection,
    )
    streams = stream_limits(settings)
    cursors, page_cursors = FeedCursors(stores.secret), PageCursors(stores.secret)
    tokens = ConsistencyTokens(stores.secret, cursors, live.hub, live.staleness)
    identifying = identifying_with(settings, live, loops)
    return Services(
        identify=identifying,
        authenticate=authenticate(settings, database, identifying, limits, stack),
        browse=Browse(database, page_cursors, page_most=page_most, floor_projection=floor_projection),
        arrange=Arrange(database, tokens),
        book=Book(database, tokens, check_in_rule(settings), settings.booking_visibility),
        look=Look(database, history, page_cursors, cursors, streams, secret=stores.secret, page_most=page_most),
        follow=Follow(
            history, cursors, live.presence, live.places, streams, cohorts, Budgets(settings.user_followed_values)
        ),
        notify=Notify(
            database,
            tokens,
            history,
            page_cursors,
            cursors,
            streams,
            secret=stores.secret,
            page_most=page_most,
            roles=role_table(settings).keys(),
        ),
        audit=Audit(database, page_cursors, stores.secret, page_most=page_most),
        tokens=tokens,
        directory=Directory(database, page_cursors, page_most=page_most),
        register=Register(database, tokens),
        several=ArrangeSeveral(database, tokens),
        exporting=Exporting(database),
    )


def check_in_rule(settings: Settings) -> CheckInRule:
    early, grace = settings.booking_check_in_early_minutes, settings.booking_check_in_grace_minutes
    return CheckInRule(timedelta(minutes=early), timedelta(minutes=grace))


def identifying_with(settings: Settings, live: Live, loops: Loops) -> Identify:
    openid = openid_issuer(settings)
    if openid is not None:
        loops.begin("issuer", openid.run())
    return identify(settings, openid, live.accounts)


def authenticate(
    settings: Settings, database: Database, identifying: Identify, limits: Limits, stack: AsyncExitStack
) -> Authenticate:
    passwords = Passwords()
    stack.callback(passwords.close)
    lifetimes = Lifetimes(settings.access_seconds, settings.refresh_seconds, settings.session_seconds)
    refused = refused_passwords(settings)
    return Authenticate(database, identifying, passwords, lifetimes, limits, refused_passwords=refused)


def stream_limits(settings: Settings) -> StreamLimits:
    return StreamLimits(
        Batching(settings.batch_window_ms / 1000, settings.batch_changes, settings.batch_eager),
        progress_seconds=settings.progress_seconds,
        snapshot_part=settings.snapshot_part,
    )
