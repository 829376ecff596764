"""Ceilings: what each process opens by itself, and that those opened one too many are told so."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from graphql_app.domain.connection_limits import ConnectionLimit, ConnectionLimits

CEILING = ConnectionLimit("connections of one user", 10)


class Register:
    """What store/redis/limits keeps of one key in Redis."""

    def __init__(self, most: int = CEILING.most) -> None:
        self._most = most
        self.open: dict[Any, int] = {}

    def exchange(self, ceilings: ConnectionLimits) -> None:
        told = ceilings.due(100)
        room = max(0, self._most - sum(open for process, open in self.open.items() if process is not ceilings))
        for one in told:
            self.open[ceilings] = max(one.confirmed, min(one.open, room))
            if not self.open[ceilings]:
                del self.open[ceilings]
        ceilings.settle(told, [room] * len(told))


class Process:
    """One process, and the connections that it let in and did not turn away again."""

    def __init__(self, processes: int) -> None:
        self.ceilings = ConnectionLimits(CEILING, processes=processes)
        self.open: set[Opened] = set()

    def enter(self) -> bool:
        connection = Opened(self)
        if self.ceilings.enter("ada", connection):
            self.open.add(connection)
            return True
        return False

    def leave(self, connection: "Opened") -> None:
        if connection in self.open:
            self.open.discard(connection)
            self.ceilings.leave("ada", connection)


class Opened:
    """A connection that ends when it is told that it is one too many."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def revoke(self, _: ConnectionLimit) -> None:
        self._process.leave(self)


def test_a_process_alone_opens_all() -> None:
    here = Process(1)

    assert [here.enter() for _ in range(12)] == [True] * 10 + [False] * 2


def test_what_is_closed_may_be_opened_anew() -> None:
    here = Process(1)
    for _ in range(10):
        here.enter()

    here.leave(next(iter(here.open)))

    assert [here.enter(), here.enter()] == [True, False]


def test_a_process_opens_at_once_what_the_others_leave() -> None:
    register, here, there = Register(), Process(4), Process(4)
    assert there.enter()
    register.exchange(there.ceilings)

    assert [here.enter() for _ in range(9)] == [True] * 9
    register.exchange(here.ceilings)

    assert len(here.open) == 9
    assert not here.enter()


def test_those_that_were_opened_one_too_many_are_turned_away_again() -> None:
    register, here, there = Register(), Process(2), Process(2)
    for _ in range(20):
        here.enter()
        register.exchange(here.ceilings)
    assert len(here.open) == 10

    assert there.enter()  # on credit
    register.exchange(there.ceilings)

    assert not there.open
    assert not there.enter()


def test_what_redis_confirmed_stays() -> None:
    register, here, there = Register(), Process(2), Process(2)
    for process in (here, there):
        for _ in range(5):
            process.enter()
        register.exchange(process.ceilings)

    register.open["another"] = 10  # as after an outage
    for process in (here, there):
        process.ceilings.renew()
        register.exchange(process.ceilings)

    assert (len(here.open), len(there.open)) == (5, 5)
    assert not here.enter()


@settings(max_examples=500, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["enter", "leave", "exchange"])), max_size=200))
def test_whoever_opens_when_no_more_are_open_once_all_have_settled(history: list[tuple[int, str]]) -> None:
    register, processes = Register(), [Process(3) for _ in range(3)]
    for number, what in history:
        process = processes[number]
        if what == "enter":
            process.enter()
        elif what == "leave" and process.open:
            process.leave(next(iter(process.open)))
        elif what == "exchange":
            register.exchange(process.ceilings)
    for _ in range(2):
        for process in processes:
            register.exchange(process.ceilings)

    assert sum(len(process.open) for process in processes) <= CEILING.most
    for process in processes:
        assert process.ceilings.open("ada") == len(process.open)


def test_without_redis_each_process_opens_its_share_and_keeps_what_is_open() -> None:
    register, here, there = Register(), Process(2), Process(2)
    for _ in range(8):
        here.enter()
        register.exchange(here.ceilings)
    for process in (here, there):
        process.ceilings.part()

    assert len(here.open) == 8
    assert [there.enter() for _ in range(7)] == [True] * 5 + [False] * 2


def test_nothing_is_kept_of_whom_has_nothing_open() -> None:
    register, here = Register(), Process(2)
    here.enter()
    register.exchange(here.ceilings)
    here.leave(next(iter(here.open)))
    register.exchange(here.ceilings)

    assert (len(here.ceilings), register.open) == (0, {})


def test_nothing_is_kept_of_whom_has_nothing_open_while_redis_is_away() -> None:
    here = Process(2)
    here.ceilings.part()
    here.enter()
    here.leave(next(iter(here.open)))

    assert len(here.ceilings) == 0
