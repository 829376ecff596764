"""One request of a viewer."""

from graphql_app.domain.audit import Transport
from graphql_app.domain.caller import Caller, Consistency, by_command
from tests.examples import view, viewer


def test_a_caller_sees_what_their_viewer_sees() -> None:
    assert Caller(viewer("visitor")).view == view("visitor")


def test_what_is_kept_in_memory_will_do_unless_the_latest_is_asked_for() -> None:
    caller = Caller(viewer("visitor"))
    assert not caller.reads_latest
    assert caller._replace(consistency=Consistency.LATEST).reads_latest


def test_the_same_request_under_another_name_keeps_what_the_audit_log_is_told() -> None:
    caller = Caller(viewer("admin"), "r-1", Transport.HTTP, "192.0.2.1")
    other = caller.named("ada")
    assert (other.viewer.subject, other.request_id, other.transport, other.address) == (
        "ada",
        "r-1",
        Transport.HTTP,
        "192.0.2.1",
    )
    assert other.view == caller.view


def test_a_command_may_do_all_and_says_which_it_is() -> None:
    caller = by_command("import")
    assert caller.viewer.subject == "command:import"
    assert caller.transport is Transport.COMMAND
    assert caller.view == view("admin")
