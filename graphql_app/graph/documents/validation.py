"""graphql-core's rules of validation as a single one, which asks each of them only about what it looks at.

A document asked for the first time costs mostly its validation, and of that a third went into asking every rule about
every kind of node whether it looks at that.
"""

from functools import cache
from typing import Any

from graphql import BREAK, SKIP, Node, ValidationContext, ValidationRule, specified_rules
from graphql.language.visitor import EnterLeaveVisitor


class SpecifiedRules(ValidationRule):
    """Replaces the list of rules that `validate` is given; the errors and their order are the same."""

    def __init__(self, context: ValidationContext) -> None:
        super().__init__(context)
        self._rules = [rule(context) for rule in specified_rules]
        self._resting: dict[int, Any] = {}  # those that skip what is below a node, or are done (BREAK)

    def get_enter_leave_for_kind(self, kind: str) -> EnterLeaveVisitor:
        entering, leaving = _lookers(kind)
        if not entering and not leaving:
            return EnterLeaveVisitor(None, None)
        resting, rules = self._resting, self._rules
        entered = [(number, getattr(rules[number], name)) for number, name in entering]
        left = [(number, getattr(rules[number], name)) for number, name in leaving]

        def enter(node: Node, *where: Any) -> None:
            for number, look in entered:
                if number not in resting and (wish := look(node, *where)) is not None:
                    self._rest(number, wish, node)

        def leave(node: Node, *where: Any) -> None:
            for number, look in left:
                if number not in resting and look(node, *where) in (BREAK, True):
                    resting[number] = BREAK
            for number in [number for number, since in resting.items() if since is node]:
                del resting[number]

        return EnterLeaveVisitor(enter, leave)

    def _rest(self, number: int, wish: Any, node: Node) -> None:
        assert wish in (SKIP, False, BREAK, True), "a rule changes nothing"
        self._resting[number] = node if wish in (SKIP, False) else BREAK


@cache
def _lookers(kind: str) -> tuple[tuple[tuple[int, str], ...], tuple[tuple[int, str], ...]]:
    """The rules that look at nodes of the kind, with the names of their methods: on the way down, and on the way up."""
    down, up = (
        tuple(
            (number, name)
            for number, rule in enumerate(specified_rules)
            if (name := next((one for one in (f"{way}_{kind}", way) if getattr(rule, one, None)), None))
        )
        for way in ("enter", "leave")
    )
    return down, up
