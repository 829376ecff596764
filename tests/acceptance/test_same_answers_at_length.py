"""The same as tests/unit/graph/test_same_answers.py, in thousands of cases."""

import pytest
from graphql import OperationType
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.graph.test_same_answers import DOCUMENTS, SEEDS, check, quiet

pytestmark = [
    pytest.mark.conformance,
    pytest.mark.timeout(900),
    # graphql-core drops the coroutines of fields beside one that fails, on either path.
    pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.mark.parametrize("kind", list(OperationType))
@quiet(150)
@given(data=st.data())
async def test_thousands_of_cases_are_answered_the_same(kind: OperationType, data: st.DataObject) -> None:
    await check(data.draw(DOCUMENTS[kind]), kind, data.draw(SEEDS))
