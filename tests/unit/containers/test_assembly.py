from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from sandbox.core.folders import data_root


def test_the_assembly_needs_the_standard_library_alone_as_a_container_has_it() -> None:
    code = f"import sys; sys.path.insert(0, {str(data_root())!r}); import sandbox.containers.assembly"
    # -S leaves out every package that is installed.
    outcome = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stderr


def test_an_assembly_that_fails_says_why_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "tools.json").write_text("{}")
    # No Debian: nothing can be installed there.
    (tmp_path / "debian" / "usr" / "sbin").mkdir(parents=True)
    argv = [sys.executable, "-m", "sandbox.containers.assembly", str(tmp_path)]
    outcome = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=data_root())
    assert outcome.returncode == 1
    assert outcome.stderr.startswith("`unshare ")
    assert "Traceback" not in outcome.stderr
