"""The gate of the repositories, before a real Git server: what changes them waits while it is shut."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from sandbox.core.conditions import Deadline
from sandbox.core.errors import DeadlineError
from sandbox.servers.gate import shut
from tests.integration.servers.conftest import RunningGit


def committed(git: RunningGit, name: str) -> Path:
    work = git.client.clone("developer", "core/environment", name)
    git.client.commit(work, {"file": name})
    return work


def push(git: RunningGit, work: Path) -> None:
    git.client.run("developer", "push", "--quiet", "origin", "HEAD:main", cwd=work)


def head(git: RunningGit) -> str:
    return git.client.run("developer", "ls-remote", f"{git.url}/core/environment.git", "main").partition("\t")[0]


def test_a_push_waits_while_the_gate_is_shut_and_goes_on_when_it_opens(git_server: RunningGit) -> None:
    with git_server.receiver.listening():
        push(git_server, committed(git_server, "one"))
        git_server.receiver.wait(1)
        before, work = head(git_server), committed(git_server, "two")
        pushing = threading.Thread(target=push, args=(git_server, work))
        with shut(git_server.root, Deadline.after(10)):
            pushing.start()
            pushing.join(1.0)
            assert pushing.is_alive()
            # Whoever only reads is not held up.
            assert head(git_server) == before
        pushing.join()
        assert head(git_server) != before
        git_server.receiver.wait(2)


def test_the_gate_is_not_shut_while_a_push_event_is_still_on_its_way(git_server: RunningGit) -> None:
    # Nobody listens yet: the event is tried again and again.
    push(git_server, committed(git_server, "one"))
    with (
        pytest.raises(DeadlineError, match="the Git server to come to rest"),
        shut(git_server.root, Deadline.after(0.5)),
    ):
        pass
    with git_server.receiver.listening():
        git_server.receiver.wait(1)
        with shut(git_server.root, Deadline.after(10)):
            pass


def test_a_push_that_is_given_up_while_the_gate_is_shut_does_not_keep_it_from_being_shut_again(
    git_server: RunningGit,
) -> None:
    work = committed(git_server, "one")
    impatient = ("-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=1")
    with shut(git_server.root, Deadline.after(10)):
        given_up = git_server.client.attempt("developer", *impatient, "push", "origin", "HEAD:main", cwd=work)
        assert "too slow" in given_up.stdout, given_up
    with git_server.receiver.listening():
        # By the time that another one has gone through, so has the request that waited for nobody.
        push(git_server, work)
        git_server.receiver.wait(1)
        with shut(git_server.root, Deadline.after(10)):
            pass
