from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.containers.contents import TOOLS, storage_class
from sandbox.containers.mirror import repository
from sandbox.core.errors import UsageError
from sandbox.toolchain import load_versions

PARTS = st.text(st.characters(exclude_characters="`", exclude_categories=["Cs"]), max_size=40)
NAMES = st.from_regex(r"[a-z.]{1,12}/[a-z/-]{1,20}:v[0-9]{1,4}", fullmatch=True)


def source(manifest: str, provisioner: str = "p:1", helper: str = "h:1") -> str:
    return (
        "package nodeimage\n\n"
        f'const storageProvisionerImage = "{provisioner}"\nconst storageHelperImage = "{helper}"\n\n'
        "var defaultStorageImages = []string{storageProvisionerImage, storageHelperImage}\n\n"
        f"const defaultStorageManifest = {manifest}\n"
    )


@given(PARTS, PARTS, PARTS, NAMES, NAMES)
def test_the_storage_class_is_read_as_go_would_read_it(
    before: str, between: str, after: str, provisioner: str, helper: str
) -> None:
    text = f"`{before}` + storageProvisionerImage + `{between}` + storageHelperImage + `{after}`"
    found = storage_class(source(text, provisioner, helper))
    assert found.manifest == before + provisioner + between + helper + after
    assert (found.provisioner, found.helper) == (provisioner, helper)


@pytest.mark.parametrize("manifest", ['"quoted"', "`a` + someOtherConstant + `b`"])
def test_a_storage_class_written_otherwise_is_an_error_and_not_a_guess(manifest: str) -> None:
    with pytest.raises(UsageError, match="kind's storage class"):
        storage_class(source(manifest))


def test_every_tool_that_the_images_are_made_of_is_locked() -> None:
    assert set(TOOLS) <= set(load_versions())


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("registry.k8s.io/coredns/coredns:v1.14.2", "coredns/coredns:v1.14.2"),
        ("localhost/gitops-sandbox/redis:9.1.2", "gitops-sandbox/redis:9.1.2"),
        ("registry.k8s.io/pause:3.10.2", "pause:3.10.2"),
    ],
)
def test_a_mirror_knows_an_image_without_the_name_of_its_registry(reference: str, expected: str) -> None:
    assert repository(reference) == expected
