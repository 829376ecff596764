"""How values are read from rows by their index, without an object of each row: what an entity says of its rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


class RowSequence(Protocol):
    """Objects of one entity, held as rows. Its class is named by a RowLayout, which gives the indexes."""

    @property
    def rows(self) -> Sequence[Any]:
        """The rows, each of `RowLayout.width` values, without what the viewer may not see."""

    @property
    def shared(self) -> Sequence[Any] | None:
        """The values of `RowLayout.shared` that hold for all rows; None where each row has its own."""

    @property
    def unpacked(self) -> Mapping[Any, Sequence[Any]]:
        """Packed column -> the values of `RowLayout.packed`, redacted for the viewer."""


@dataclass(frozen=True, slots=True, eq=False)
class RowLayout:
    """Where the fields of an entity are in the rows of a sequence.

    Args:
        sequence: The class that holds the rows; a RowSequence.
        width: How many values a row has.
        columns: Field -> index of its column in a row.
        shared: The fields that `RowSequence.shared` can give for all rows, in its order. They are columns, too.
        packed_at: Index of the column that holds several fields at once.
        packed: Field -> index in what `RowSequence.unpacked` finds for that column.
        timestamps: Column of a moment -> its text in ISO 8601.
        enums: Enum class -> what makes a lookup by column, given the names in the answer by the members' values.
    """

    sequence: type
    width: int
    columns: Mapping[str, int]
    shared: tuple[str, ...]
    packed_at: int
    packed: Mapping[str, int]
    timestamps: Mapping[Any, str]
    enums: Mapping[type, Callable[[Mapping[str, Any]], Mapping[str, Any]]]
