"""What is counted, and under how few names."""

import pytest
from prometheus_client import Counter
from prometheus_client.metrics import MetricWrapperBase

from graphql_app.graph.websocket import wire
from graphql_app.ops import metrics


def codes_of_ours() -> set[int]:
    """Every close code that the protocol says."""
    said = [value[0] if isinstance(value, tuple) else value for value in vars(wire).values()]
    return {code for code in said if isinstance(code, int) and 1000 <= code < 5000}


def test_whatever_codes_clients_close_with_there_are_few_series() -> None:
    assert len({metrics.close_label(code) for code in range(-1, 70_000)}) == len(metrics.CLOSE_CODES) + 4


@pytest.mark.parametrize("code", sorted(codes_of_ours()))
def test_a_code_of_ours_is_counted_by_itself(code: int) -> None:
    assert metrics.close_label(code) == str(code)


@pytest.mark.parametrize(
    ("code", "label"), [(1016, "1xxx"), (2999, "other"), (3123, "3xxx"), (4999, "4xxx"), (0, "other")]
)
def test_another_is_counted_with_its_range(code: int, label: str) -> None:
    assert metrics.close_label(code) == label


def test_no_metric_has_a_label_for_what_a_client_calls_something() -> None:
    """A new label is to be looked at: its values must be ours, or folded."""
    named = {
        name
        for metric in vars(metrics).values()
        if isinstance(metric, MetricWrapperBase)
        for name in metric._labelnames
    }

    assert named == {"code", "duty", "kind", "limit", "log", "result", "table", "where"}
    assert isinstance(metrics.CLOSES, Counter)
