"""What answers GraphQL, whatever door it came by."""

from collections.abc import Mapping
from contextlib import AsyncExitStack, closing

from graphql import GraphQLSchema

from graphql_app.app.live import Live
from graphql_app.app.loops import Loops
from graphql_app.app.services import services_of
from graphql_app.app.store import Stores
from graphql_app.graph.api.context import Services
from graphql_app.graph.api.schema import build
from graphql_app.graph.documents.document import Documents
from graphql_app.graph.documents.limits import DocumentLimits
from graphql_app.graph.documents.persisted import BadManifest, Persisted, manifest
from graphql_app.graph.engine.engine import Engine
from graphql_app.graph.engine.execution import Execution
from graphql_app.graph.engine.response_cache import ResponseCache
from graphql_app.graph.engine.subscriptions import SubscriptionExecution
from graphql_app.live.admission.limits import Limits
from graphql_app.services.following.cohorts import Cohorts
from graphql_app.services.identity.admission import Admission
from graphql_app.settings import Settings, SettingsError


def engine_of(settings: Settings, stores: Stores, live: Live, loops: Loops, stack: AsyncExitStack) -> Engine:
    limits = Limits(live.limiter)
    cohorts = stack.enter_context(closing(Cohorts()))
    execution = Execution(build(), seconds=settings.operation_seconds, is_explorable=settings.is_explorable)
    services = services_of(settings, stores, live, limits, cohorts, execution.scheduler, loops, stack)
    documents = documents_of(settings, execution.schema)
    persisted = persisted_of(settings, documents)
    admission = Admission(limits, services.identify)
    answers = answers_of(settings, execution, services, live, loops)
    subscribing = SubscriptionExecution(execution, cohorts)
    return Engine(services, documents, persisted, execution, subscribing, live.sessions, admission, answers)


def documents_of(settings: Settings, schema: GraphQLSchema) -> Documents:
    """Kept parsed, once they were measured."""
    limits = DocumentLimits(
        bytes=settings.document_bytes,
        tokens=settings.document_tokens,
        depth=settings.document_depth,
        aliases=settings.document_aliases,
        directives=settings.document_directives,
        nodes=settings.document_nodes,
        comparisons=settings.document_comparisons,
        cost=settings.document_cost,
        page=settings.page_most,
    )
    return Documents(schema, limits, kept=settings.documents_kept, suggests=settings.is_explorable)


def persisted_of(settings: Settings, documents: Documents) -> Persisted:
    """Documents by their hashes. In production, who lists some means no others."""
    return Persisted(
        documents,
        trusted_documents(settings),
        only_trusted=settings.mode == "production" and settings.trusted_documents is not None,
        registered_bytes=settings.persisted_bytes,
    )


def trusted_documents(settings: Settings) -> Mapping[str, str]:
    """The documents that the operator listed, by their hashes. Raises SettingsError for a list that is none."""
    if settings.trusted_documents is None:
        return {}
    try:
        return manifest(settings.trusted_documents)
    except BadManifest as error:
        raise SettingsError(f"GRAPHQL_APP_TRUSTED_DOCUMENTS: {error}") from error


def answers_of(
    settings: Settings, execution: Execution, services: Services, live: Live, loops: Loops
) -> ResponseCache | None:
    """Finished answers, kept until a change makes them untrue; None where they are turned off."""
    if not settings.answers_bytes:
        return None
    answers = ResponseCache(
        execution,
        services,
        live.hub,
        live.staleness,
        bytes_most=settings.answers_bytes,
        seconds_most=settings.answers_seconds,
    )
    live.hub.listen(answers)
    loops.begin("answers", answers.run())
    return answers
