"""The examples for CI services are what those services accept, and run commands that there are."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs import generate
from sandbox.cli.program import product

FOLDER = generate.FOLDER.parent / "ci"
SCHEMAS = {"github-actions.yaml": "vendor.github-workflows", "gitlab-ci.yaml": "vendor.gitlab-ci"}
OUR_COMMAND = re.compile(r"gitops-sandbox ([a-z]+)([^\n|>]*)")


@pytest.mark.parametrize("name", SCHEMAS)
def test_an_example_is_as_the_schema_of_its_service_says(name: str) -> None:
    words = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", SCHEMAS[name]]
    transform = ["--data-transform", "gitlab-ci"] if "gitlab" in name else []
    done = subprocess.run([*words, *transform, str(FOLDER / name)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_refuses_an_example_that_is_broken(name: str, tmp_path: Path) -> None:
    broken = tmp_path / name
    broken.write_text((FOLDER / name).read_text().replace("script:", "scripted:").replace("runs-on:", "runs:"))
    words = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", SCHEMAS[name], str(broken)]
    assert subprocess.run(words, capture_output=True, check=False).returncode == 1


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_commands_of_an_example_are_verbs_with_options_that_they_have(name: str) -> None:
    verbs, found = product(), OUR_COMMAND.findall((FOLDER / name).read_text())
    assert found
    for verb, rest in found:
        assert verb in verbs.task_names
        known = {flag for argument in verbs[verb].get_arguments() for flag in argument.names}
        assert {word.removeprefix("--") for word in rest.split() if word.startswith("--")} <= known
