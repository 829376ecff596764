"""What each role sees and may do: the guarded fields, and the scopes that open them."""

from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given

from graphql_app.domain.access import (
    GUARDED,
    ROLES,
    Scope,
    View,
    may_see,
    redact,
    redact_employee,
    redact_present,
    require,
    require_fields,
    scopes_of,
)
from graphql_app.domain.errors import Forbidden
from graphql_app.domain.office import VersionedEmployee
from graphql_app.domain.presence import Present
from graphql_app.domain.workstation import Employee, Place, Workstation
from tests.examples import ADA, occupied, view, viewer, views

SEEN_BY: dict[str, set[str]] = {  # field of Workstation, Employee or PresenceChange -> roles that see it
    "x_position": {"employee", "facilities", "admin"},
    "y_position": {"employee", "facilities", "admin"},
    "width": {"employee", "facilities", "admin"},
    "height": {"employee", "facilities", "admin"},
    "employee_id": {"hr", "admin"},
    "version": {"facilities", "admin"},
    "updated_at": {"facilities", "admin"},
    "employee_number": {"hr", "admin"},
    "people": {"hr", "admin"},
}
WORKSTATION_FIELDS = sorted(GUARDED["Workstation"])


def test_the_guarded_fields_are_these() -> None:
    assert {field for guarded in GUARDED.values() for field in guarded} == set(SEEN_BY)


@pytest.mark.parametrize("field", WORKSTATION_FIELDS)
@pytest.mark.parametrize("role", ROLES)
def test_a_role_sees_a_guarded_field_of_a_workstation_only_with_its_scope(role: str, field: str) -> None:
    desk = occupied()

    shown = getattr(redact(view(role), desk), field)

    assert shown == (getattr(desk, field) if role in SEEN_BY[field] else None)


@pytest.mark.parametrize("role", ROLES)
def test_the_number_of_an_occupant_is_shown_only_to_who_sees_employee_numbers(role: str) -> None:
    shown = redact(view(role), occupied(ADA)).employee

    assert shown is not None
    assert shown.employee_number == (ADA.employee_number if role in SEEN_BY["employee_number"] else None)


@pytest.mark.parametrize("role", ROLES)
def test_an_employee_alone_is_redacted_as_an_occupant_is(role: str) -> None:
    assert redact_employee(view(role), ADA) == redact(view(role), occupied(ADA)).employee


@pytest.mark.parametrize("role", ROLES)
def test_what_is_not_guarded_is_shown_to_every_role(role: str) -> None:
    shown, desk = redact(view(role), occupied()), occupied()

    open_fields = {f.name for f in fields(Workstation)} - set(GUARDED["Workstation"]) - {"employee"}
    assert {name: getattr(shown, name) for name in open_fields} == {name: getattr(desk, name) for name in open_fields}
    assert shown.employee is not None
    assert (shown.employee.key, shown.employee.name, shown.employee.department) == (ADA.key, ADA.name, ADA.department)


@pytest.mark.parametrize("role", ROLES)
def test_how_many_are_present_is_shown_to_all_and_who_only_with_the_scope(role: str) -> None:
    here = Present(Place("HQ", 1), 2, frozenset({ADA.key}), is_partial=False)

    shown = redact_present(view(role), here)

    assert shown.people == (here.people if role in SEEN_BY["people"] else None)
    assert (shown.place, shown.count, shown.is_partial) == (here.place, 2, False)


EMPLOYEE_SHOWN = {f.name for f in fields(Employee)}  # of an occupant; the register has more


@given(views)
def test_no_guarded_field_passes_a_view_without_its_scope(anyone: View) -> None:
    shown = redact(anyone, occupied())

    for field, scope in GUARDED["Workstation"].items():
        assert (getattr(shown, field) is not None) == anyone.has(scope)
    assert shown.employee is not None
    registered = redact_employee(anyone, VersionedEmployee(ADA.key, ADA.name, None, "E-1001", 7))
    for field, scope in GUARDED["Employee"].items():
        assert (getattr(registered, field, None) is not None) == anyone.has(scope)
        if field in EMPLOYEE_SHOWN:
            assert (getattr(shown.employee, field) is not None) == anyone.has(scope)


@given(views)
def test_redacting_twice_changes_nothing_more(anyone: View) -> None:
    once = redact(anyone, occupied())

    assert redact(anyone, once) == once


def test_who_sees_everything_is_given_the_very_object() -> None:
    desk = occupied()

    assert redact(view("admin"), desk) is desk


@pytest.mark.parametrize(
    ("type_name", "held"), [("Workstation", Workstation), ("Employee", VersionedEmployee), ("PresenceChange", Present)]
)
def test_every_guarded_field_is_a_field_of_its_type(type_name: str, held: Any) -> None:
    assert set(GUARDED[type_name]) <= {f.name for f in fields(held)}


@pytest.mark.parametrize("field", WORKSTATION_FIELDS)
def test_filtering_or_ordering_by_a_hidden_field_is_refused_with_the_scope_it_needs(field: str) -> None:
    with pytest.raises(Forbidden) as refused:
        require_fields(view("visitor"), "Workstation", ["name", field])

    assert refused.value.data["scope"] == GUARDED["Workstation"][field]


@pytest.mark.parametrize("field", WORKSTATION_FIELDS)
def test_filtering_or_ordering_by_a_field_that_is_seen_is_allowed(field: str) -> None:
    require_fields(view("admin"), "Workstation", [field])


def test_a_refused_field_is_named_as_clients_write_it() -> None:
    with pytest.raises(Forbidden, match="xPosition") as refused:
        require_fields(view("visitor"), "Workstation", ["x_position"])

    assert refused.value.data["field"] == "xPosition"


def test_fields_that_are_not_guarded_may_be_asked_for_without_any_scope() -> None:
    require_fields(View(frozenset()), "Workstation", ["name", "status", "building"])


@pytest.mark.parametrize("field", ["name", "status"])
def test_a_field_that_is_not_guarded_may_be_seen_by_anyone(field: str) -> None:
    assert may_see(View(frozenset()), "Workstation", field)


def test_what_needs_a_scope_is_refused_without_it_and_says_which() -> None:
    with pytest.raises(Forbidden, match="workstations:write") as refused:
        require(viewer("visitor"), Scope.WRITE)

    assert refused.value.data == {"scope": "workstations:write"}


def test_what_needs_a_scope_is_allowed_with_it() -> None:
    require(viewer("facilities"), Scope.WRITE)


def test_roles_add_up() -> None:
    assert scopes_of(["employee", "hr"], ROLES) == {
        Scope.READ,
        Scope.COORDINATES,
        Scope.EMPLOYEES,
        Scope.STAFF,
        Scope.RESERVE,
        Scope.RESERVATIONS,
    }


def test_a_role_that_nobody_knows_gives_nothing() -> None:
    assert scopes_of(["emperor"], ROLES) == frozenset()


def test_only_the_admin_has_every_scope() -> None:
    assert [role for role, scopes in ROLES.items() if scopes == frozenset(Scope)] == ["admin"]


def test_two_views_with_the_same_scopes_are_one_key() -> None:
    assert {view("employee", "visitor"): 1} == {view("employee"): 1}
