"""Rows of workstations for one view: what it may not see was not fetched, or is redacted."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, overload

from graphql_app.aio.memo import Memo
from graphql_app.domain.access import GUARDED, VIEWS_KEPT, View, employee_redactor, may_see, redactor
from graphql_app.domain.row_layout import RowLayout
from graphql_app.domain.workstation import ByStatus, Place, Status, Workstation
from graphql_app.store.schema import rows
from graphql_app.store.schema.rows import Labels

Row = Any  # of asyncpg, or any sequence
# All that decides what of them is shown: views that do not differ in it share what was made.
_LABEL_SCOPES = frozenset((GUARDED["Workstation"]["employee_id"], *GUARDED["Employee"].values()))
_TIMESTAMPS: Memo[bytes, str] = Memo(lambda sent: rows.MOMENTS[sent].isoformat(), rows.MOMENTS_KEPT)


class Table(Sequence[Workstation]):
    """A sequence of workstations that makes an object only of what is looked at.

    It is a RowSequence of LAYOUT: taking values by their index is several times faster.
    """

    __slots__ = ("_view", "rows", "shared", "unpacked")

    def __init__(self, fetched: Sequence[Row], view: View, place: Place | None = None) -> None:
        """`fetched`: rows of LAYOUT, without what the view may not see. `place`: where all of them stand; else each row
        tells."""
        self.rows = fetched
        self.unpacked = labels_for(view)
        self.shared = place
        self._view = view

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, at: int) -> Workstation: ...
    @overload
    def __getitem__(self, at: slice) -> "Table": ...
    def __getitem__(self, at: int | slice) -> "Workstation | Table":
        if isinstance(at, slice):
            return Table(self.rows[at], self._view, self.shared)
        return redactor(self._view)(self._workstation(self.rows[at]))

    def __iter__(self) -> Iterator[Workstation]:
        return map(redactor(self._view), map(self._workstation, self.rows))

    def _workstation(self, row: Row) -> Workstation:
        return rows.selected(row[: len(rows.SELECTED)], self.shared)


LAYOUT = RowLayout(
    sequence=Table,
    width=len(rows.SELECTED) + rows.BEHIND,
    columns={name: index for name, index in rows.PLACES.items() if name != "labels"},
    shared=("building", "floor_number"),  # in the order of Place
    packed_at=rows.PLACES["labels"],
    packed=rows.LABELLED,
    timestamps=_TIMESTAMPS,
    enums={Status: ByStatus},
)


@lru_cache(VIEWS_KEPT)
def labels_for(view: View) -> Memo[bytes | None, Labels]:
    """Returns the labels of rows, redacted."""
    return _labels_for(View(view.scopes & _LABEL_SCOPES))


@lru_cache(VIEWS_KEPT)
def _labels_for(view: View) -> Memo[bytes | None, Labels]:
    redacted, shows_number = employee_redactor(view), may_see(view, "Workstation", "employee_id")

    def labels(sent: bytes | None) -> Labels:
        floor, department, employee, number = rows.LABELS[sent]
        return floor, department, employee and redacted(employee), number if shows_number else None

    return Memo(labels, rows.LABELS_KEPT)
