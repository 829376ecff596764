"""The example of docs/testing.md, run as a user runs it."""

import re
import subprocess
import sys
from pathlib import Path

from tests.source import ROOT

EXAMPLE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_documented_example_runs(tmp_path: Path) -> None:
    found = EXAMPLE.findall((ROOT / "docs" / "testing.md").read_text())
    assert len(found) == 1

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", found[0]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "floors" in done.stdout
    assert "CHANGES" in done.stdout
    assert "MAINTENANCE" in done.stdout
    assert list(tmp_path.iterdir()) == []
