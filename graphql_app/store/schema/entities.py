"""The registry: every entity that a trigger writes into change_log. Nothing else lists them.

docs/subsystems/entities.md says how to add one.
"""

from graphql_app.domain import account, notification, reservation, workstation
from graphql_app.domain.access import redact, redact_employee_row, shows_version
from graphql_app.domain.entity import Entities, Entity, FloorRole, LoginRole
from graphql_app.store.schema import rows

WORKSTATION = Entity(
    workstation.WORKSTATION,
    rows.workstation,
    redact=redact,
    has_version=shows_version,
    floor=FloorRole.CONTENT,
)

ENTITIES = Entities(
    WORKSTATION,
    Entity(workstation.FLOOR, rows.floor, floor=FloorRole.FLOOR),
    Entity(workstation.BUILDING, rows.as_it_is),
    Entity(workstation.DEPARTMENT, rows.department_row),
    Entity(workstation.EMPLOYEE, rows.employee_row, redact=redact_employee_row, login=LoginRole.PERSON),
    Entity(notification.ENTITY, rows.notification, is_rare=True),
    Entity(reservation.RESERVATION, rows.reservation, is_rare=True),
    Entity(account.ACCOUNT, rows.account, login=LoginRole.ACCOUNT),
    Entity(account.LOGIN_SESSION, rows.login_session, login=LoginRole.SESSION),
)
