"""The engine: what every door of GraphQL runs operations with."""

from dataclasses import dataclass

import orjson

from graphql_app.graph.api.context import Context, Services
from graphql_app.graph.compile.shortcut import Outcome
from graphql_app.graph.documents.document import Documents, Operation
from graphql_app.graph.documents.persisted import Persisted
from graphql_app.graph.engine.execution import Execution
from graphql_app.graph.engine.request import OperationRequest
from graphql_app.graph.engine.response_cache import Answer, ResponseCache, ResponseKey, can_be_shared, is_kept
from graphql_app.graph.engine.subscriptions import SubscriptionExecution
from graphql_app.live.sessions.sessions import Sessions
from graphql_app.services.identity.admission import Admission


@dataclass(frozen=True, slots=True)
class Engine:
    """The parts that running an operation takes."""

    services: Services
    documents: Documents
    persisted: Persisted
    execution: Execution
    subscribing: SubscriptionExecution
    sessions: Sessions
    admission: Admission
    answers: ResponseCache | None = None

    async def answer(
        self, asked: OperationRequest, operation: Operation, context: Context, outcome: Outcome | None = None
    ) -> Answer:
        """Answers a query or mutation, from the response cache where all with the view are answered alike.

        `outcome`: as of Execution.run. Raises BadVariables.
        """
        caller, answers = context.caller, self.answers
        if answers is None or caller.reads_latest or not (can_be_shared(operation) and is_kept(operation)):
            body = await self.execution.run(operation, asked.variables, context, outcome)
            return Answer(orjson.dumps(body), has_errors="errors" in body)
        key = ResponseKey(asked.key, caller.view)
        return answers.cached(key) or await answers.make(key, operation, asked)
