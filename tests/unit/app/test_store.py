"""What the settings say of connections to PostgreSQL, as the pools take it."""

import pytest

from graphql_app.app.doctor import listed
from graphql_app.app.store import pool_times
from graphql_app.settings import read
from graphql_app.store.postgres.engine import PoolTimes

SET = {"acquire": "2", "connect": "3", "idle": "4", "lifetime": "5"}


def test_each_time_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SET.items():
        monkeypatch.setenv(f"GRAPHQL_APP_DATABASE_{name.upper()}_SECONDS", value)

    assert pool_times(read()) == PoolTimes(acquire=2, connect=3, idle=4, lifetime=5)


def test_a_connection_is_waited_for_as_long_as_a_statement_unless_set_otherwise() -> None:
    times = pool_times(read(database_timeout_seconds=7))

    assert (times.acquire, times.connect) == (7, 7)


def test_doctor_shows_what_is_known_of_the_pools() -> None:
    shown = "\n".join(listed(read(database_timeout_seconds=7)))

    for name in ("POOL", "READ_POOL", *(f"{name.upper()}_SECONDS" for name in SET)):
        assert f"GRAPHQL_APP_DATABASE_{name} " in shown
