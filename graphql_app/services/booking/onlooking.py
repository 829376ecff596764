"""As whom somebody looks at bookings."""

from graphql_app.domain.access import Onlooker
from graphql_app.domain.caller import Caller
from graphql_app.store.reservations import Holder


def onlooker(caller: Caller, person: Holder | None) -> Onlooker:
    """Returns as whom the caller looks at bookings."""
    if person is None:
        return Onlooker(caller.view)
    return Onlooker(caller.view, person.department_id, person.id)
