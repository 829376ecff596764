"""Subscriptions: one execution per (document, variables, view), shared by all its subscribers."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from graphql_app.domain.access import Viewer
from graphql_app.domain.errors import Refusal
from graphql_app.graph.api.context import Context
from graphql_app.graph.api.sources import SubscriptionSource
from graphql_app.graph.documents.document import Operation
from graphql_app.graph.engine.execution import Execution, shared_caller
from graphql_app.services.following.cohorts import Cohorts, Payload, Render, Subscriber
from graphql_app.services.following.history import Start
from graphql_app.services.following.reauthorisation import reauthorised
from graphql_app.services.following.streams import Stream


class SubscriptionExecution:
    """Executes subscriptions, one for each cohort."""

    def __init__(self, execution: Execution, cohorts: Cohorts) -> None:
        self._execution = execution
        self._cohorts = cohorts

    async def join(
        self, operation: Operation, variables: Mapping[str, Any], context: Context, subscriber: Subscriber
    ) -> Callable[[], None]:
        """Joins the cohort of all who asked the same and see the same, and another one whenever the viewer comes to see
        other things. Returns what leaves it again.

        Raises BadVariables, GraphQLError for what the resolver refuses, and Refusal when that has changed since.
        """

        async def enter(viewer: Viewer, resync: str | None) -> Callable[[], None]:
            present = replace(context, caller=context.caller._replace(viewer=viewer))
            return await self._enter(operation, variables, present, subscriber, resync)

        return await reauthorised(context.services.identify, context.caller.viewer, enter, subscriber)

    async def _enter(
        self,
        operation: Operation,
        variables: Mapping[str, Any],
        context: Context,
        subscriber: Subscriber,
        resync: str | None,
    ) -> Callable[[], None]:
        executor = self._execution.executor(operation, variables, context)
        source = await self._execution.source(executor)
        assert isinstance(source, SubscriptionSource), "every subscription of the schema returns one"
        if source.membership is not None:
            source.membership.check()
        stream: Stream = source.stream
        stops: list[Callable[[], None]] = []

        def render() -> Render:
            masked, caller = operation.masked(stream.view), shared_caller(stream.view)

            async def executed(event: Any) -> Payload:
                shown = source.show(stream, event)
                alone = Context(caller, context.services)
                body = await self._execution.event(executor, shown, alone, masked)
                return Payload(body, getattr(shown, "cursor", None), event)

            return executed

        def leave() -> None:
            while stops:
                stops.pop()()

        def end(refusal: Refusal) -> None:
            leave()
            subscriber.failed(refusal)

        stops.append(context.services.follow.enter(context.caller, stream))
        if source.membership is not None:
            stops.append(source.membership.watch(end))
        start = Start(resync=resync) if resync else source.start
        key = (operation.shared_key(variables), stream.key)
        stops.append(self._cohorts.join(key, stream, render, subscriber, start))
        return leave
