"""What operators are given agrees with itself and with the code. No container engine is needed to see that."""

import fnmatch
import re
import subprocess
from io import StringIO
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml
from dotenv import dotenv_values
from prometheus_client import Counter
from prometheus_client.metrics import MetricWrapperBase

from graphql_app.app.identity import identify
from graphql_app.app.serving import GRACE_SECONDS, KEEP_ALIVE_SECONDS
from graphql_app.ops import metrics
from graphql_app.rest.changes import WAIT_MOST
from graphql_app.settings import Settings, read

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
SECRETS = {"POSTGRES_PASSWORD", "REDIS_PASSWORD", "GRAPHQL_APP_SECRET", "GRAPHQL_APP_TOKEN_PRIVATE_KEY"}


# --- Dockerfile ------------------------------------------------------------------------------------------------------

Instruction = tuple[str, str]


def instructions() -> list[Instruction]:
    """(NAME, arguments) of each instruction, with continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", (DOCKER / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    split = [line.split(None, 1) for line in text.splitlines() if line.strip()]
    return [(name, " ".join(arguments.split())) for name, arguments in split]


def stages() -> list[list[Instruction]]:
    found: list[list[Instruction]] = []
    for instruction in instructions():
        if instruction[0] == "FROM":
            found.append([])
        found[-1].append(instruction)
    return found


def last(name: str) -> str:
    """The arguments of an instruction of the image that is run."""
    (arguments,) = [arguments for found, arguments in stages()[-1] if found == name]
    return arguments


def test_the_image_is_built_in_stages_and_runs_none_of_the_tools() -> None:
    assert [stage[0][1] for stage in stages()] == [
        "node:22-slim AS pages",
        "python:3.11-slim AS builder",
        "python:3.11-slim",
    ]
    copies = [arguments for name, arguments in stages()[-1] if name == "COPY"]
    assert copies == ["--from=builder /opt/graphql-app /opt/graphql-app"]
    assert "RUN" not in {name for name, _ in stages()[-1]}


def test_the_image_runs_as_nobody_in_particular() -> None:
    user, group = last("USER").split(":")
    assert int(user) > 999
    assert int(group) > 999


def test_the_image_listens_to_all_and_serves_unless_told_otherwise() -> None:
    assert "HOST=0.0.0.0" in last("ENV").split()
    assert (last("ENTRYPOINT"), last("CMD")) == ('["graphql-app"]', '["serve"]')


def test_the_image_asks_itself_whether_it_is_alive() -> None:
    assert "/healthz" in last("HEALTHCHECK")
    (script,) = re.findall(r"CMD (\[.+\])$", last("HEALTHCHECK"))
    compile(yaml.safe_load(script)[2], "HEALTHCHECK", "exec")


def test_no_secret_goes_into_the_image() -> None:
    text = (DOCKER / "Dockerfile").read_text()
    assert "ARG" not in {name for name, _ in instructions()}
    for name in SECRETS:
        assert name not in text


def test_what_is_copied_exists_and_is_all_that_is_let_in() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*"
    let_in = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    needed = set()
    for name, arguments in instructions():
        if name == "COPY" and not arguments.startswith("--from"):
            for source in arguments.split()[:-1]:
                assert (ROOT / source).exists(), source
                needed.add(source.split("/")[0])
    assert let_in == needed
    assert any(
        fnmatch.fnmatch("graphql_app/pages/static/bundle", rule) for rule in rules[1:]
    )  # the image builds its own


# --- compose.yaml ----------------------------------------------------------------------------------------------------

COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
APPS = ("app1", "app2")


def test_there_are_a_database_a_broker_two_apps_and_nginx() -> None:
    assert set(SERVICES) == {"postgres", "redis", "migrate", "app1", "app2", "nginx"}
    images = {name: service["image"] for name, service in SERVICES.items()}
    assert images["postgres"] == "postgres:18"
    assert images["app1"] == images["app2"] == images["migrate"]


@pytest.mark.parametrize("name", APPS)
def test_an_app_runs_in_production_mode_after_the_migrations_and_says_when_it_is_ready(name: str) -> None:
    app = SERVICES[name]
    assert app["environment"]["GRAPHQL_APP_MODE"] == "production"
    assert app["depends_on"] == {
        "postgres": {"condition": "service_healthy"},
        "redis": {"condition": "service_healthy"},
        "migrate": {"condition": "service_completed_successfully"},
    }
    assert "command" not in app
    command, *_, script = app["healthcheck"]["test"]
    assert command == "CMD"
    assert "/readyz" in script
    compile(script, "healthcheck", "exec")


def test_the_migrations_run_once_and_wait_for_the_database() -> None:
    migrate = SERVICES["migrate"]
    assert migrate["command"] == ["migrate"]
    assert migrate["restart"] == "no"
    assert migrate["depends_on"] == {"postgres": {"condition": "service_healthy"}}


def test_nginx_waits_for_both_apps_and_reads_the_shipped_configuration() -> None:
    nginx = SERVICES["nginx"]
    assert nginx["depends_on"] == {app: {"condition": "service_healthy"} for app in APPS}
    assert nginx["volumes"] == ["./nginx.conf:/etc/nginx/nginx.conf:ro"]
    version = tuple(map(int, re.findall(r"\d+", nginx["image"])))
    assert version > (1, 27)  # the first stable one with `resolve`


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_service_is_watched_and_started_again(name: str) -> None:
    service = SERVICES[name]
    if name != "migrate":
        assert service["healthcheck"]["test"]
        assert service["restart"] == "unless-stopped"
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["logging"]["options"]["max-size"]


def test_only_nginx_is_published_and_the_databases_reach_nobody_outside() -> None:
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["nginx"]
    assert COMPOSE["networks"]["back"] == {"internal": True}
    assert SERVICES["postgres"]["networks"] == SERVICES["redis"]["networks"] == ["back"]
    assert SERVICES["nginx"]["networks"] == ["front"]


@pytest.mark.parametrize("name", APPS)
def test_an_app_believes_the_network_of_nginx_and_no_other(name: str) -> None:
    given = SERVICES[name]["environment"]["GRAPHQL_APP_TRUSTED_PROXIES"]
    (network,) = COMPOSE["networks"]["front"]["ipam"]["config"]
    (trusted,) = yaml.safe_load(given)
    assert trusted == network["subnet"]
    default = VALUES["FRONT_SUBNET"]
    assert trusted == f"${{FRONT_SUBNET:-{default}}}"
    assert ip_network(default or "").num_addresses <= 16


def test_the_database_keeps_its_data_in_a_volume() -> None:
    (volume,) = SERVICES["postgres"]["volumes"]
    name, _, target = volume.partition(":")
    assert name in COMPOSE["volumes"]
    assert target == "/var/lib/postgresql"  # 18 moved it up from …/data


def test_an_app_is_given_longer_to_stop_than_it_takes() -> None:
    assert seconds(SERVICES["app1"]["stop_grace_period"]) > GRACE_SECONDS


# --- .env.example ----------------------------------------------------------------------------------------------------

EXAMPLE = (DOCKER / ".env.example").read_text()
VALUES = dotenv_values(stream=StringIO(EXAMPLE))
# Each empty variable stands below the command that makes its value.
COMMANDS = {name: command for command, name in re.findall(r"^#   (.+)\n(\w+)=$", EXAMPLE, re.MULTILINE)}


def test_every_variable_of_the_compose_file_is_in_the_example_and_the_other_way_round() -> None:
    used = set(re.findall(r"(?<!\$)\$\{(\w+)", (DOCKER / "compose.yaml").read_text()))
    settings = {Settings.variable(name) for name in Settings.model_fields}
    assert used <= set(VALUES)
    assert set(VALUES) <= used | settings


def test_the_variables_that_the_compose_file_sets_are_ones_that_the_app_reads() -> None:
    settings = {Settings.variable(name) for name in Settings.model_fields}
    assert set(SERVICES["app1"]["environment"]) <= settings


def test_the_examples_of_settings_are_valid() -> None:
    examples = re.findall(r"^# (GRAPHQL_APP_\w+=.+)$", EXAMPLE, re.MULTILINE)
    assert examples
    settings = {Settings.variable(name): name for name in Settings.model_fields}
    for variable, value in dotenv_values(stream=StringIO("\n".join(examples))).items():
        Settings(**{settings[variable]: yaml.safe_load(value or "")})


def test_the_example_holds_no_key_and_says_how_to_make_each() -> None:
    empty = {name for name, value in VALUES.items() if not value}
    assert empty == SECRETS
    assert set(COMMANDS) == SECRETS
    assert not re.search(r"PRIVATE KEY-----", EXAMPLE)


@pytest.mark.conformance  # openssl need not be there for the rest
def test_what_the_example_says_makes_an_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    filled = EXAMPLE
    for name, command in COMMANDS.items():
        made = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, timeout=60, check=True
        )
        filled = filled.replace(f"\n{name}=\n", f"\n{name}={made.stdout.strip()}\n")
    values = dotenv_values(stream=StringIO(filled))
    for name in ("POSTGRES_PASSWORD", "REDIS_PASSWORD"):
        assert re.fullmatch(r"[0-9a-f]{48}", values[name] or "")
    for name, value in values.items():
        monkeypatch.setenv(name, value or "")
    monkeypatch.setenv("DATABASE_URL", "postgresql://postgres/graphql_app")
    monkeypatch.setenv("REDIS_URL", f"redis://:{values['REDIS_PASSWORD']}@redis")

    issuer = identify(read(mode="production"))
    assert issuer.viewer(issuer.issue("someone", ["visitor"], seconds=60)).subject == "someone"


# --- nginx.conf ------------------------------------------------------------------------------------------------------

CONFIGURATION = re.sub(r"#.*", "", (DOCKER / "nginx.conf").read_text())


def directive(name: str) -> str:
    """The arguments of a directive that stands there once."""
    (found,) = re.findall(rf"^\s*{name}\s+([^;{{]+);", CONFIGURATION, re.MULTILINE)
    return str(found)


def seconds(value: str) -> float:
    return float(value.removesuffix("s"))


def block(opening: str) -> str:
    """The text between the braces of a block that holds no other block."""
    (found,) = re.findall(rf"{opening}\s*{{([^{{}}]*)}}", CONFIGURATION)
    return str(found)


def test_nginx_knows_the_app_processes_by_their_names_and_port() -> None:
    servers = re.findall(r"server (\S+) resolve\b", block("upstream app"))
    assert servers == [f"{app}:{SERVICES[app]['environment']['PORT']}" for app in APPS]


def test_nginx_listens_where_it_is_published() -> None:
    (published,) = SERVICES["nginx"]["ports"]
    assert published.rpartition(":")[2] == directive("listen")


def test_nginx_takes_bodies_as_large_as_the_app_does() -> None:
    assert directive("client_max_body_size") == f"{Settings.model_fields['request_bytes'].default // 2**10}k"


def test_nginx_waits_longer_than_the_server_pings_and_the_app_works() -> None:
    patience = seconds(directive("proxy_read_timeout"))
    assert patience > 3 * Settings.model_fields["socket_ping_seconds"].default
    assert patience > WAIT_MOST
    assert patience > Settings.model_fields["operation_seconds"].default
    assert patience > Settings.model_fields["progress_seconds"].default
    assert seconds(directive("send_timeout")) > Settings.model_fields["socket_stall_seconds"].default


def test_nginx_lets_go_of_idle_connections_before_the_app_does() -> None:
    upstream = block("upstream app")
    (kept,) = re.findall(r"keepalive_timeout (\w+);", upstream)
    assert "keepalive " in upstream
    assert 30 < seconds(kept) < KEEP_ALIVE_SECONDS


def test_nginx_compresses_json_and_shows_no_metrics() -> None:
    assert set(directive("gzip_types").split()) == {"application/json", "application/graphql-response+json"}
    assert "return 403;" in block("location /metrics")


def test_nginx_writes_nowhere_but_where_it_may() -> None:
    written = re.findall(r"^\s*(?:pid|access_log|\w+_temp_path) (\S+?)[; ]", CONFIGURATION, re.MULTILINE)
    assert len(written) == 7
    assert all(path.startswith(("/tmp/", "/dev/stdout")) for path in written)
    assert SERVICES["nginx"]["tmpfs"] == ["/tmp"]
    assert SERVICES["nginx"]["read_only"]


# --- docs/operations.md ----------------------------------------------------------------------------------------------


def test_every_metric_is_explained_and_none_that_is_not_there() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    table = text.partition("| metric |")[2].partition("\n\n")[0]
    explained = set(
        re.findall(r"`([a-z_]+)(?:{[a-z,]+})?`", " ".join(row.split("|")[1] for row in table.splitlines()[2:]))
    )
    counted = {
        f"{metric._name}_total" if isinstance(metric, Counter) else metric._name
        for metric in vars(metrics).values()
        if isinstance(metric, MetricWrapperBase)
    }
    assert {f"graphql_app_{name}" for name in explained} == counted


def test_the_alerts_ask_for_metrics_that_are_explained() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    for name in re.findall(r"graphql_app_([a-z_]+)[{\[)]", text):
        assert f"`{name.removesuffix('_bucket')}" in text
