"""What variables may come to: at the bounds, and beyond them."""

from typing import Any

import pytest

from graphql_app.domain.errors import TooMany
from graphql_app.graph.documents.variables import require_few


def nested(levels: int) -> Any:
    return [nested(levels - 1)] if levels else 1


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({}, None),
        ({"ids": ["x"] * 9_999}, None),
        ({"ids": ["x"] * 10_000}, "more than 10000 values"),
        ({"a": {"b": [{"c": [1] * 5000}, {"d": [1] * 5000}]}}, "more than 10000 values"),
        ({f"v{n}": n for n in range(10_001)}, "more than 10000 values"),
        ({"a": nested(199)}, None),
        ({"a": nested(200)}, "more than 200 levels"),
    ],
)
def test_variables_are_bounded_before_they_are_fitted_to_their_types(
    variables: dict[str, Any], problem: str | None
) -> None:
    if problem is None:
        require_few(variables)
        return
    with pytest.raises(TooMany, match=problem) as refused:
        require_few(variables)
    assert refused.value.data["measure"] == "variables"
    assert refused.value.data["asked"] > refused.value.data["limit"]
