"""The kubernetes client, as threads that start side by side come to it."""

from __future__ import annotations

import subprocess
import sys

_THREADS = """
import sys, threading
from sandbox.core.errors import UnavailableError
from sandbox.kube.api import KubeApi
from sandbox.kube.quantities import quantity

sys.setswitchinterval(1e-6)  # threads meet in the middle of an import as often as can be
together, failures = threading.Barrier(8), []

def first_use(number):
    together.wait()
    try:
        quantity("1") if number % 2 else KubeApi("/nonexistent")
    except UnavailableError:
        pass
    except BaseException as error:
        failures.append(repr(error))

threads = [threading.Thread(target=first_use, args=(number,)) for number in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
sys.exit("; ".join(failures) or None)
"""


def test_threads_that_first_need_the_client_at_once_all_get_it() -> None:
    # Imported by several names, it fails in nearly each of such processes.
    for _process in range(3):
        outcome = subprocess.run([sys.executable, "-c", _THREADS], capture_output=True, text=True, check=False)
        assert outcome.returncode == 0, outcome.stderr
