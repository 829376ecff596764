"""graphql-core's executor, which leaves plain selections to their projections, and operations of one field to their
shortcut, once they repeat."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sized
from typing import Any, cast

from graphql import (
    DocumentNode,
    Executor,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLResolveInfo,
    OperationType,
    VariableNode,
    Visitor,
    get_named_type,
    get_nullable_type,
    is_list_type,
    visit,
)
from graphql.execution.collect_fields import FieldDetailsList, GroupedFieldSet
from graphql.execution.executor import to_nodes
from graphql.pyutils import AwaitableOrValue, Path, UndefinedType, gather_with_cancel

from graphql_app.aio.cooperative import CooperativeScheduler
from graphql_app.domain.access import View
from graphql_app.domain.workstation import WholeFloor
from graphql_app.graph.compile.counting import NOTHING, Count, Counting
from graphql_app.graph.compile.projection import LISTS_MOST, Projection, projection
from graphql_app.graph.compile.shortcut import EventShortcut, Outcome, Shortcut, shortcut

PLANS_MOST = 16  # of one operation: one a view and combination of what its @skip and @include are given


class PlanPosition:
    """A selection set of an operation on one type: its fields, collected once."""

    __slots__ = ("fields", "grouped")

    def __init__(self, grouped: GroupedFieldSet) -> None:
        self.grouped = grouped
        self.fields = {key: Field(details) for key, details in grouped.items()}


class Field:
    """A field in a selection set, and what is below it for each type that its value turned out to be of."""

    __slots__ = ("_projections", "details", "places")

    def __init__(self, details: FieldDetailsList) -> None:
        self.details = details
        self.places: dict[str, PlanPosition] = {}
        self._projections: dict[GraphQLOutputType, Projection] | None = None

    def projections(self, of: GraphQLOutputType, executor: "PlannedExecutor") -> dict[GraphQLOutputType, Projection]:
        """Of the whole value, and of one item, should the whole not be regular."""
        if self._projections is None:
            self._projections = {}
            inner = get_nullable_type(of)
            # What is large is projected item by item, so that others can be let in between.
            lists_most = 0 if executor.plans.is_large else LISTS_MOST
            for part in (of, inner.of_type) if is_list_type(inner) else (of,):
                made = projection(part, self.details, executor.subfields, executor.view, lists_most)
                if made is not None:
                    self._projections[part] = made
        return self._projections


class Plans:
    """What executions of an operation taught about it; lives as long as the operation."""

    __slots__ = ("_conditions", "_document", "_is_known", "_roots", "counting", "events", "is_large", "shortcuts")

    def __init__(self, document: DocumentNode, *, is_large: bool = False, counting: Counting = NOTHING) -> None:
        """`is_large`: its answer can take longer than others are to be held up. It is planned from the start."""
        self._document = document
        self.counting = counting
        self.is_large = is_large
        self._is_known = is_large
        self._conditions: tuple[str, ...] = ()
        self._roots: dict[Hashable, PlanPosition] = {}
        # Where nothing but the view decides what is selected.
        self.shortcuts: dict[View, Shortcut] = {}
        self.events: dict[View, EventShortcut] = {}

    def root(self, executor: "PlannedExecutor", grouped: GroupedFieldSet) -> PlanPosition | None:
        """Returns the plan for this execution; None the first time: most of what is asked only once is never
        planned."""
        if not self._is_known:
            self._is_known = True
            return None
        if not self._roots:
            self._conditions = condition_variables(self._document)
        given = executor.variable_values.coerced
        key = (executor.view, *(given.get(name) for name in self._conditions))
        root = self._roots.get(key)
        if root is None and len(self._roots) < PLANS_MOST:
            root = self._roots[key] = PlanPosition(grouped)
            if not self._conditions:
                self._shorten(executor, root)
        return root

    def _shorten(self, executor: "PlannedExecutor", root: PlanPosition) -> None:
        made = executor.shortcut(root)
        if isinstance(made, EventShortcut):
            self.events[executor.view] = made
        elif made is not None:
            self.shortcuts[executor.view] = made


class PlannedExecutor(Executor[Any]):
    """Executes with the plans of the operation.

    graphql-core hands a `position_context` down through all its methods and makes no use of it here: it is the Place
    of a selection set on the way to a field, and the Field on the way to its value; None where nothing is planned.
    """

    def __init__(
        self,
        *arguments: Any,
        plans: Plans,
        scheduler: CooperativeScheduler,
        outcome: Outcome | None = None,
        **named: Any,
    ) -> None:
        """`outcome`: what the resolver of the one root field did; it is not called again."""
        super().__init__(*arguments, **named)
        self.plans = plans
        self._scheduler = scheduler
        self._outcome = outcome
        self._count = Count(plans.counting) if plans.counting.nodes else None

    @property
    def view(self) -> View:
        view: View = self.context_value.caller.view
        return view

    def shortcut(self, root: PlanPosition) -> Shortcut | EventShortcut | None:
        """To the one root field, if all that is selected of it is plain."""
        kind = self.schema.get_root_type(self.operation.operation)
        if kind is None or len(root.fields) != 1 or self.plans.counting.is_of_several:
            return None
        ((key, field),) = root.fields.items()
        of = kind.fields.get(field.details[0].node.name.value)
        project = field.projections(of.type, self).get(of.type) if of is not None else None
        if of is None or project is None:
            return None
        if self.operation.operation is OperationType.SUBSCRIPTION:
            return EventShortcut(key, project)
        info = self.build_resolve_info(of, to_nodes(field.details), kind, Path(None, key, kind.name))
        return shortcut(of, self.operation, info, project)

    def subfields(self, of: GraphQLObjectType, details: FieldDetailsList) -> GroupedFieldSet:
        return self.collect_subfields(of, details).grouped_field_set

    def execute_root_grouped_field_set(
        self,
        root_type: GraphQLObjectType,
        root_value: Any,
        grouped_field_set: GroupedFieldSet,
        serially: bool,
        position_context: Any,
    ) -> AwaitableOrValue[dict[str, Any]]:
        root = self.plans.root(self, grouped_field_set)
        return super().execute_root_grouped_field_set(root_type, root_value, grouped_field_set, serially, root)

    def execute_field(
        self,
        parent_type: GraphQLObjectType,
        source: Any,
        field_details_list: FieldDetailsList,
        path: Path,
        position_context: PlanPosition | None,
    ) -> AwaitableOrValue[Any] | UndefinedType:
        field = position_context and position_context.fields[path.key]  # type: ignore[index]  # a field's key is a name
        if self._outcome is not None and path.prev is None:
            of = parent_type.fields[field_details_list[0].node.name.value]
            info = self.build_resolve_info(of, to_nodes(field_details_list), parent_type, path)
            resolved = self._outcome.again()
            return self.complete_awaitable_value(of.type, field_details_list, info, path, resolved, field)
        return super().execute_field(parent_type, source, field_details_list, path, field)

    def complete_value(
        self,
        return_type: GraphQLOutputType,
        field_details_list: FieldDetailsList,
        info: GraphQLResolveInfo[Any],
        path: Path,
        result: Any,
        position_context: Field | None,
    ) -> AwaitableOrValue[Any]:
        if position_context is not None and result is not None:
            project = position_context.projections(return_type, self).get(return_type)
            if project is not None:
                try:
                    made = project(result)
                except Exception:  # noqa: BLE001, S110  # said below, by graphql-core: with its error, at its path
                    pass
                else:
                    if self._count is not None:
                        self._add(self._count, return_type, field_details_list, result)
                    return made
        return super().complete_value(return_type, field_details_list, info, path, result, position_context)

    def _add(self, count: Count, of: GraphQLOutputType, details: FieldDetailsList, result: Any) -> None:
        """Counts what was projected at once. Raises TooMany."""
        if isinstance(result, WholeFloor):
            for below in self.subfields(cast(GraphQLObjectType, get_named_type(of)), details).values():
                count.add(below, len(result.workstations))
        elif isinstance(result, Sized):
            count.add(details, len(result))

    def complete_iterable_value(
        self,
        item_type: GraphQLOutputType,
        field_details_list: FieldDetailsList,
        info: GraphQLResolveInfo[Any],
        path: Path,
        items: Iterable[Any],
        position_context: Field | None,
    ) -> AwaitableOrValue[list[Any]]:
        """Completes a list as graphql-core does, in time slices. Raises TooMany."""
        if self._count is not None and isinstance(items, Sized):
            self._count.add(field_details_list, len(items))
        completed: list[Any] = []
        waiting: list[int] = []

        def complete(index: int, item: Any) -> None:
            of = (item_type, field_details_list, info, path.add_key(index, None), position_context)
            if self.is_awaitable(item):
                completed.append(self.complete_awaitable_list_item_value(item, *of))
                waiting.append(index)
            elif self.complete_list_item_value(item, completed, *of):
                waiting.append(index)

        rest = enumerate(items)
        try:
            for index, item in rest:
                complete(index, item)
                if self._scheduler.is_over():
                    break
            else:
                if not waiting:
                    return completed
        except Exception:
            self._give_up(completed, waiting)
            raise
        return self._completed(rest, complete, completed, waiting)

    async def _completed(
        self,
        rest: Iterator[tuple[int, Any]],
        complete: Callable[[int, Any], None],
        completed: list[Any],
        waiting: list[int],
    ) -> list[Any]:
        """The list, with its rest, and with what its items wait for."""
        try:
            for index, item in rest:
                await self._scheduler.next()
                complete(index, item)
        except BaseException:
            self._give_up(completed, waiting)
            raise
        values = [completed[index] for index in waiting]
        # One is awaited as it is, as graphql-core does: a task of its own would ask a moment later than all others.
        found = [await values[0]] if len(values) == 1 else await gather_with_cancel(*values)
        for index, value in zip(waiting, found, strict=True):
            completed[index] = value
        return completed

    def _give_up(self, completed: list[Any], waiting: list[int]) -> None:
        if waiting:
            self.settle_in_background([completed[index] for index in waiting])

    def collect_and_execute_subfields(
        self,
        return_type: GraphQLObjectType,
        field_details_list: FieldDetailsList,
        path: Path,
        result: Any,
        position_context: Field | None,
    ) -> AwaitableOrValue[dict[str, Any]]:
        if position_context is None:
            return super().collect_and_execute_subfields(return_type, field_details_list, path, result, None)
        place = position_context.places.get(return_type.name)
        if place is None:
            place = PlanPosition(self.subfields(return_type, field_details_list))
            position_context.places[return_type.name] = place
        return self.execute_fields(return_type, result, path, place.grouped, place)


class _Conditions(Visitor):
    """Finds the variables that say whether something is selected."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def enter_directive(self, node: Any, *_: Any) -> None:
        for argument in node.arguments if node.name.value in ("skip", "include") else ():
            if isinstance(argument.value, VariableNode):
                self.names.add(argument.value.name.value)


def condition_variables(document: DocumentNode) -> tuple[str, ...]:
    """Returns the names of the variables that decide what of the document is selected."""
    visitor = _Conditions()
    visit(document, visitor)
    return tuple(sorted(visitor.names))
