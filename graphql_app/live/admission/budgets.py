"""How much of this process's memory one user may take by what they follow, counted in the values of their filters."""

from collections.abc import Callable

from graphql_app.domain.errors import TooMany
from graphql_app.observe import Refused, note

FOLLOWED_VALUES = "values followed by one user"


def _nothing() -> None:
    pass


class Budgets:
    """Keeps one account for each user; what others have is none of theirs. A `most` of 0 is no limit."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._taken)

    def take(self, user: str, values: int) -> Callable[[], None]:
        """Takes so many values until the returned function is called, once. Raises TooMany."""
        if not values or not self._most:
            return _nothing
        taken = self._taken.get(user, 0) + values
        if taken > self._most:
            note(Refused(FOLLOWED_VALUES))
            raise TooMany(
                f"All that you follow names {taken:,} ids, departments and statuses, the limit is {self._most:,}; "
                "follow floors or buildings instead, or end a subscription first.",
                measure=FOLLOWED_VALUES,
                limit=self._most,
                asked=taken,
            )
        self._taken[user] = taken
        return lambda: self._give_back(user, values)

    def _give_back(self, user: str, values: int) -> None:
        left = self._taken[user] - values
        if left:
            self._taken[user] = left
        else:
            del self._taken[user]
