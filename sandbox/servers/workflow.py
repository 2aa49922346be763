"""Running a repository's own GitHub Actions workflow on this host, by act: a plain function, a folder for each run.

The environment is made from nothing: a step sees the tools it is given, a home and a temporary folder of its run,
and nothing of the user's. The home goes when the run ends, because act writes scripts there in which secrets stand.
What act and the steps are told of the run's folder is a path without spaces: see ``sandbox.servers.plain_paths``.
"""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import yaml

from sandbox.core.conditions import Deadline
from sandbox.core.errors import UnavailableError, UsageError
from sandbox.core.files import PRIVATE_DIR, make_private_dir, write_file, write_json
from sandbox.core.processes import RUN_ID_VARIABLE, end_marked
from sandbox.servers.act_log import LogLine, Mask, StepResult, parse_line
from sandbox.servers.plain_paths import close_ways, open_way
from sandbox.servers.step_shells import answer, lay_out_shells
from sandbox.servers.triggers import Push, find_workflows

__all__ = ["StepResult", "WorkflowRequest", "WorkflowResult", "clear_run", "run_workflow"]

RUN_FOLDER_VARIABLE = "GITOPS_SANDBOX_CI_RUN"
"""Marks every process of a run, by the run's folder."""

_TIME_LIMIT = 15 * 60.0
_GRACE = 0.3
_ENDING = 10.0
_SECRETS = "secrets.yaml"
_SHELLS = "shells"
_PASSING = ("home", "tmp", _SHELLS)
_LOOK = 0.05
_IDENTITY = """\
[user]
\tname = CI
\temail = ci@gitops-sandbox.invalid
[init]
\tdefaultBranch = main
"""
_NO_DOCKER = "unix:///nonexistent/docker.sock"


@dataclass(frozen=True, slots=True)
class WorkflowRequest:
    """What to run, and all that it may see.

    Attributes:
        folder: The run's own folder; exists. Gets ``log.txt``, ``event.json`` and, for a while, ``secrets.yaml``.
        work: The checkout whose workflows run; act works on a copy.
        event: The push event in GitHub's format.
        act: The act program.
        secrets: What ``secrets`` holds in the workflow; kept out of ``repr``.
        variables: What ``vars`` holds in the workflow.
        tools_path: Folders of programs, searched before /usr/bin and /bin.
        cache: A folder that runs share for what Go downloads and compiles.
        number: The run's number, ``github.run_id`` in the workflow.
        time_limit: Seconds until the run is ended and has failed.
        local_repositories: Folders to take actions from, by ``owner/name@ref``.
        environment: More variables for the steps; no secrets.
    """

    folder: Path
    work: Path
    event: Mapping[str, object]
    act: Path
    secrets: Mapping[str, str] = field(repr=False)
    variables: Mapping[str, str]
    tools_path: tuple[Path, ...]
    cache: Path
    number: int = 1
    time_limit: float = _TIME_LIMIT
    local_repositories: Mapping[str, Path] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WorkflowResult:
    """How a run ended.

    Attributes:
        status: ``passed``, ``failed`` or ``cancelled``; the last also where no workflow runs on the event.
        steps: The steps that ended, in their order.
        seconds: How long it took.
        reason: Why it did not pass; empty when it did.
        log: What was said, secrets taken out.
    """

    status: str
    steps: tuple[StepResult, ...]
    seconds: float
    reason: str
    log: Path


def run_workflow(
    request: WorkflowRequest, on_step: Callable[[StepResult], None], cancelled: Callable[[], bool] = lambda: False
) -> WorkflowResult:
    """Run the workflows that the event triggers, one after another, until one fails.

    Args:
        request: What to run.
        on_step: Called for each step that ends, from this thread.
        cancelled: Says whether the run is to end as cancelled; asked many times a second.

    Raises:
        UsageError: A workflow file can't be read, or the event is no push event.
        UnavailableError: act can't be started.
        DeadlineError: A process of the run could not be ended.
    """
    began, deadline = time.monotonic(), Deadline.after(request.time_limit)
    workflows = find_workflows(request.work, Push.of(request.event))
    log = request.folder / "log.txt"
    write_file(log, "")
    with _prepared(request) as way, log.open("a") as file:
        run = _Run(request, way, on_step, cancelled, deadline)
        for workflow in workflows:
            run.workflow(workflow, file)
            if run.status != "passed":
                break
    status, reason = (run.status, run.reason) if workflows else ("cancelled", "no workflow runs on this push")
    return WorkflowResult(status, tuple(run.steps), time.monotonic() - began, reason, log)


def _end_processes(folder: Path) -> None:
    """End what a run has started.

    act starts each step in a session of its own, so that neither its process group nor its session leads to them.
    """
    end_marked(str(folder), Deadline.after(_ENDING), RUN_FOLDER_VARIABLE)


def clear_run(folder: Path) -> None:
    """End what is left of a run and take away what holds secrets; for a run whose runner was killed too.

    Raises:
        DeadlineError: A process of the run could not be ended.
    """
    _end_processes(folder)
    close_ways(folder)
    (folder / _SECRETS).unlink(missing_ok=True)
    for name in _PASSING:
        # Tools write read-only folders, in which nothing can be deleted.
        for path, _, _ in os.walk(folder / name):
            Path(path).chmod(PRIVATE_DIR)
        if (folder / name).exists():
            shutil.rmtree(folder / name)


class _Run:
    def __init__(
        self,
        request: WorkflowRequest,
        way: Path,
        on_step: Callable[[StepResult], None],
        cancelled: Callable[[], bool],
        deadline: Deadline,
    ) -> None:
        self.steps: list[StepResult] = []
        self.status, self.reason = "passed", ""
        self._request = request
        self._way = way
        self._on_step = on_step
        self._cancelled = cancelled
        self._deadline = deadline
        self._mask = Mask(request.secrets.values())

    def workflow(self, path: Path, log: TextIO) -> None:
        """Run one workflow file; its outcome stands in ``status`` and ``reason``."""
        process = _start(self._request, self._way, path)
        lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        reader = threading.Thread(target=_read, args=(process, lines))
        reader.start()
        last, problem = "", ""
        try:
            for line in self._lines(lines):
                self._note(line, log)
                last, problem = line.text or last, line.problem or problem
            if self.status == "passed":
                # Its output is closed, so it is about to end by itself.
                process.wait(_ENDING)
        finally:
            _end(process, self._request.folder)
            reader.join()
            if process.stdout:
                process.stdout.close()
        if self.status == "passed" and process.returncode != 0:
            # Where no step failed, act's last words are the reason: a workflow that it can't read, say.
            self.status, self.reason = "failed", self._mask(problem or last or f"exit code {process.returncode}")

    def _lines(self, lines: queue.SimpleQueue[str | None]) -> Iterator[LogLine]:
        while True:
            if self._cancelled():
                self.status, self.reason = "cancelled", "the run was cancelled"
                return
            if self._deadline.passed:
                self.status, self.reason = "failed", f"the run took longer than {self._request.time_limit:g} s"
                return
            try:
                line = lines.get(timeout=min(_LOOK, self._deadline.remaining() + 0.001))
            except queue.Empty:
                continue
            if line is None:
                return
            yield parse_line(line)

    def _note(self, line: LogLine, log: TextIO) -> None:
        if line.text is not None:
            log.write(self._mask(line.text) + "\n")
            log.flush()
        if line.shell:
            answer(self._request.folder / _SHELLS, line.shell)
        if line.step:
            self.steps.append(line.step)
            self._on_step(line.step)


def _read(process: subprocess.Popen[str], lines: queue.SimpleQueue[str | None]) -> None:
    if process.stdout:
        for line in process.stdout:
            lines.put(line)
    lines.put(None)


def _start(request: WorkflowRequest, way: Path, workflow: Path) -> subprocess.Popen[str]:
    folder = request.folder
    argv: list[str | Path] = [
        request.act,
        "push",
        *("--platform", "ubuntu-latest=-self-hosted"),
        *("--workflows", workflow),
        *("--eventpath", folder / "event.json"),
        *("--secret-file", folder / _SECRETS),
        *("--var-file", folder / "vars.yaml"),
        # A .env or .input that lies in the repository must not change what runs.
        *("--env-file", os.devnull, "--input-file", os.devnull),
        *("--actor", _pusher(request.event)),
        *("--env", f"GITHUB_REPOSITORY={_repository(request.event)}"),
        *("--env", f"GITHUB_RUN_ID={request.number}"),
        *("--pull=false", "--no-cache-server", "--json"),
    ]
    for name, path in request.local_repositories.items():
        argv += ["--local-repository", f"{name}={path}"]
    try:
        return subprocess.Popen(
            argv,
            cwd=request.work,
            env=_environment(request, way),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            umask=0o077,
        )
    except OSError as error:
        raise UnavailableError(f"can't run {request.act}", why=error.strerror or str(error)) from error


def _end(process: subprocess.Popen[str], folder: Path) -> None:
    if process.poll() is None:
        # First asked, so that act can end its jobs; what is left after that is killed.
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
    _end_processes(folder)
    process.wait()


def _environment(request: WorkflowRequest, way: Path) -> dict[str, str]:
    cache = request.cache
    # Of the sandbox's marks the run id alone: a step is told no path of the sandbox's own.
    kept = {
        name: value for name, value in os.environ.items() if name in {"LANG", RUN_ID_VARIABLE} or name.startswith("LC_")
    }
    return {
        **kept,
        "PATH": os.pathsep.join([str(way / _SHELLS), _path(request)]),
        "HOME": str(way / "home"),
        "XDG_CACHE_HOME": str(way / "home" / ".cache"),
        "TMPDIR": str(way / "tmp"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": str(way / "gitconfig"),
        "GIT_TERMINAL_PROMPT": "0",
        "GOCACHE": str(cache / "go-build"),
        "GOMODCACHE": str(cache / "go-mod"),
        # Who reaches Docker reaches a cluster whose nodes are containers: CI has no way there.
        "DOCKER_HOST": _NO_DOCKER,
        **request.environment,
        RUN_FOLDER_VARIABLE: str(request.folder),
    }


def _path(request: WorkflowRequest) -> str:
    return os.pathsep.join([*map(str, request.tools_path), "/usr/bin", "/bin"])


@contextlib.contextmanager
def _prepared(request: WorkflowRequest) -> Iterator[Path]:
    """Lay out what act reads and writes, give the way to it, and take away what holds secrets."""
    folder = request.folder
    for path in (*(folder / name for name in _PASSING), request.cache):
        make_private_dir(path)
    lay_out_shells(folder / _SHELLS, _path(request))
    # YAML, because act expands '$' in the other format that it reads.
    write_file(folder / _SECRETS, yaml.safe_dump(dict(request.secrets)))
    write_file(folder / "vars.yaml", yaml.safe_dump(dict(request.variables)))
    write_file(folder / "gitconfig", _IDENTITY)
    write_json(folder / "event.json", request.event)
    try:
        yield open_way(folder)
    finally:
        clear_run(folder)


def _repository(event: Mapping[str, object]) -> str:
    repository = event.get("repository")
    name = repository.get("full_name") if isinstance(repository, dict) else None
    if not isinstance(name, str) or not name:
        raise UsageError("the event is no push event", why="it has no repository.full_name")
    return name


def _pusher(event: Mapping[str, object]) -> str:
    pusher = event.get("pusher")
    return str(pusher.get("name", "nobody")) if isinstance(pusher, dict) else "nobody"
