from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from sandbox.core.conditions import Deadline
from sandbox.core.errors import DeadlineError, UnavailableError
from sandbox.core.locks import FileLease, Mode, locked

NOW = Deadline.after(0)


def test_a_shared_lock_bears_others_and_an_unshared_one_none(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with locked(path, Mode.SHARED, NOW, wanted="one", held=""), locked(path, Mode.SHARED, NOW, wanted="two", held=""):
        with pytest.raises(DeadlineError, match="three") as caught:
            locked(path, Mode.ALONE, NOW, wanted="three", held="two hold it", hint="wait").__enter__()
        assert "two hold it" in caught.value.why
    with locked(path, Mode.ALONE, NOW, wanted="three", held=""):
        pass


def test_a_lock_in_a_folder_that_there_is_not_says_so(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="can't write"):
        locked(tmp_path / "none" / "lock", Mode.ALONE, NOW, wanted="it", held="").__enter__()


def test_what_a_killed_process_used_is_abandoned_and_not_before(tmp_path: Path) -> None:
    path = tmp_path / "lease"
    script = (
        "import sys, pathlib; from sandbox.core.locks import FileLease; from sandbox.core.conditions import Deadline;"
        "lease = FileLease.share(pathlib.Path(sys.argv[1]), Deadline.after(5)); print('held', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as user:
        assert user.stdout is not None
        assert user.stdout.readline() == "held\n"
        assert FileLease.abandoned(path) is None
        os.kill(user.pid, signal.SIGKILL)
        user.wait()
    left = FileLease.abandoned(path)
    assert left is not None
    left.finish()
    assert not path.exists()


class Users(RuleBasedStateMachine):
    """Users of one thing come, end well, and are killed, while others look for what nobody uses any more."""

    using = Bundle("using")
    cleaning = Bundle("cleaning")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "lease"
        self.users = 0
        self.cleaners = 0
        self.dirty = False

    @rule(target=using)
    def come(self) -> FileLease | None:
        """Use it."""
        if self.cleaners:
            with pytest.raises(DeadlineError, match="being cleaned up"):
                FileLease.share(self.path, NOW)
            return None
        lease = FileLease.share(self.path, NOW)
        self.users += 1
        self.dirty = True
        return lease

    @rule(lease=consumes(using))
    def go_or_be_killed(self, lease: FileLease | None) -> None:
        """Stop using it."""
        # To the kernel both are one: the file is closed.
        if lease is not None:
            lease.drop()
            self.users -= 1

    @rule(target=cleaning)
    def look_for_what_is_abandoned(self) -> FileLease | None:
        """Take it when nobody uses it."""
        lease = FileLease.abandoned(self.path)
        assert (lease is not None) == (self.dirty and not self.users and not self.cleaners)
        self.cleaners += lease is not None
        return lease

    @rule(lease=consumes(cleaning))
    def clean_up(self, lease: FileLease | None) -> None:
        """Clean up what was taken."""
        if lease is not None:
            lease.finish()
            self.cleaners, self.dirty = 0, False

    @rule(lease=consumes(cleaning))
    def be_killed_while_cleaning(self, lease: FileLease | None) -> None:
        """Leave it half cleaned."""
        if lease is not None:
            lease.drop()
            self.cleaners = 0

    @invariant()
    def nothing_is_cleaned_up_while_somebody_uses_it(self) -> None:
        """Demand what the lease is for."""
        assert not (self.users and self.cleaners)
        assert self.path.exists() == self.dirty

    def teardown(self) -> None:
        """Remove the folder."""
        self.folder.cleanup()


TestUsers = Users.TestCase
