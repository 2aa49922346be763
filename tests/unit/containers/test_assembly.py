from __future__ import annotations

import subprocess
import sys

from sandbox.core.folders import data_root


def test_the_assembly_needs_the_standard_library_alone_as_a_container_has_it() -> None:
    code = f"import sys; sys.path.insert(0, {str(data_root())!r}); import sandbox.containers.assembly"
    # -S leaves out every package that is installed.
    outcome = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stderr
