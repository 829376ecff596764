"""What `docs/start/` shows runs as it stands there, and resumes over a server that was killed."""

import re
import sys
from pathlib import Path

from tests.acceptance.conftest import StartServer
from tests.acceptance.test_readme import changed, line, running

START = Path(__file__).parents[2] / "docs" / "start"


async def test_the_resume_loop_hears_what_happened_while_it_was_cut_off(
    start_server: StartServer, tmp_path: Path
) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", (START / "resume.md").read_text(), re.DOTALL)
    server = start_server(GRAPHQL_APP_SEED="true")
    port = server.url.rpartition(":")[2]

    async with running(server, [sys.executable, "-"], program, tmp_path) as output:
        assert (await line(output)).startswith("SNAPSHOT ")
        server.kill()
        assert (await line(output)).startswith("again, because ")
        other = start_server()  # the change is made where the program is not
        await changed(other)
        other.stop()
        server_at = start_server(PORT=port)
        found = await line(output)
        while found.startswith("again, because "):
            found = await line(output)
        assert re.fullmatch(r"CHANGES \d+ MAINTENANCE\n", found)

    # The program itself begins again, and has nothing to load anew.
    async with running(server_at, [sys.executable, "-"], program, tmp_path) as output:
        assert re.fullmatch(r"CHANGES \d+\n", await line(output))
