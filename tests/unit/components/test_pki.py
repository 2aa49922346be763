from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from sandbox.components.base import Context
from sandbox.components.pki import ARGOCD_ACCOUNTS, Pki
from sandbox.core.errors import UnavailableError

AUTHORITIES = ("ca", "etcd-ca", "argocd-ca")
OF_THE_CLUSTER = {
    "apiserver",
    "admin",
    "probe",
    "kube-controller-manager",
    "kube-scheduler",
    "kwok",
    *ARGOCD_ACCOUNTS,
}
SIGNED_BY = {
    **dict.fromkeys(OF_THE_CLUSTER, "ca"),
    "etcd": "etcd-ca",
    "apiserver-etcd-client": "etcd-ca",
    "argocd-tls": "argocd-ca",
    "argocd-client": "argocd-ca",
}
SIGNERS = ["service-account.key", *(f"{name}.{kind}" for name in AUTHORITIES for kind in ("key", "crt"))]
SERVERS = {"apiserver", "etcd", "argocd-tls"}


@pytest.fixture
def pki(context: Context) -> Path:
    Pki().ensure(context)
    return context.folder / "pki"


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def names(found: x509.Certificate, oid: x509.ObjectIdentifier) -> list[str]:
    return [str(attribute.value) for attribute in found.subject.get_attributes_for_oid(oid)]


def test_every_certificate_is_signed_by_its_authority_and_by_no_other(pki: Path) -> None:
    authorities = {name: certificate(pki / f"{name}.crt") for name in AUTHORITIES}
    leaves = {path.stem for path in pki.glob("*.crt")} - set(AUTHORITIES)
    assert leaves == set(SIGNED_BY)
    for name, authority in SIGNED_BY.items():
        leaf = certificate(pki / f"{name}.crt")
        leaf.verify_directly_issued_by(authorities[authority])
        for other in set(AUTHORITIES) - {authority}:
            with pytest.raises((ValueError, InvalidSignature)):
                leaf.verify_directly_issued_by(authorities[other])


def test_each_key_belongs_to_its_certificate_and_to_no_second_one(pki: Path) -> None:
    public = set()
    for name in (*AUTHORITIES, *SIGNED_BY):
        key = load_pem_private_key((pki / f"{name}.key").read_bytes(), None).public_key()
        assert key == certificate(pki / f"{name}.crt").public_key()
        public.add(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    assert len(public) == len(AUTHORITIES) + len(SIGNED_BY)


def test_only_authorities_may_sign_certificates(pki: Path) -> None:
    for name in AUTHORITIES:
        authority = certificate(pki / f"{name}.crt")
        constraints = authority.extensions.get_extension_for_class(x509.BasicConstraints)
        assert constraints.critical
        assert constraints.value.ca
        assert constraints.value.path_length == 0
        assert authority.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    for name in SIGNED_BY:
        with pytest.raises(x509.ExtensionNotFound):
            certificate(pki / f"{name}.crt").extensions.get_extension_for_oid(ExtensionOID.BASIC_CONSTRAINTS)


def test_only_servers_may_serve_and_only_on_loopback(pki: Path) -> None:
    for name in SIGNED_BY:
        extensions = certificate(pki / f"{name}.crt").extensions
        uses = set(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
        expected = {ExtendedKeyUsageOID.CLIENT_AUTH}
        if name in SERVERS:
            expected.add(ExtendedKeyUsageOID.SERVER_AUTH)
            hosts = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            addresses = hosts.get_values_for_type(x509.IPAddress)
            assert ipaddress.ip_address("127.0.0.1") in addresses
        assert uses == expected


def test_identities_are_those_that_the_official_rbac_rules_speak_of(pki: Path) -> None:
    def identity(name: str) -> tuple[list[str], set[str]]:
        found = certificate(pki / f"{name}.crt")
        return names(found, NameOID.COMMON_NAME), set(names(found, NameOID.ORGANIZATION_NAME))

    assert identity("admin") == (["gitops-sandbox-admin"], {"system:masters"})
    assert identity("kube-scheduler") == (["system:kube-scheduler"], set())
    for account in ARGOCD_ACCOUNTS:
        groups = {"system:serviceaccounts", "system:serviceaccounts:argocd"}
        assert identity(account) == ([f"system:serviceaccount:argocd:{account}"], groups)
    masters = [name for name in SIGNED_BY if "system:masters" in identity(name)[1]]
    assert masters == ["admin"]


def test_every_file_is_for_this_user_alone_whatever_the_umask(context: Context) -> None:
    before = os.umask(0)
    try:
        Pki().ensure(context)
    finally:
        os.umask(before)
    files = [path for path in context.folder.rglob("*") if path.is_file()]
    assert len(files) > 30
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert (context.folder / "pki").stat().st_mode & 0o777 == 0o700


def test_a_whole_set_is_left_alone(context: Context, pki: Path) -> None:
    before = content(context.folder)
    Pki().ensure(context)
    assert content(context.folder) == before
    assert pki.is_dir()


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b""), lambda path: path.write_text("?")])
def test_a_leaf_that_is_lost_is_made_again_out_of_its_authority(
    context: Context, pki: Path, damage: Callable[[Path], object]
) -> None:
    for name, authority in SIGNED_BY.items():
        for kind in ("key", "crt"):
            before = content(context.folder)
            damage(pki / f"{name}.{kind}")

            Pki().ensure(context)

            after = content(context.folder)
            assert before.keys() == after.keys()
            assert {path for path in before if before[path] != after[path]} == {f"pki/{name}.key", f"pki/{name}.crt"}
            certificate(pki / f"{name}.crt").verify_directly_issued_by(certificate(pki / f"{authority}.crt"))
            assert (pki / f"{name}.{kind}").stat().st_mode & 0o777 == 0o600


def test_a_certificate_of_another_authority_is_made_again(context: Context, pki: Path, tmp_path: Path) -> None:
    other = Context("other", "unit", tmp_path / "other", context.ports, {}, 1, context.supervisor)
    Pki().ensure(other)
    for kind in ("key", "crt"):
        (pki / f"admin.{kind}").write_bytes(other.pki(f"admin.{kind}").read_bytes())

    Pki().ensure(context)

    certificate(pki / "admin.crt").verify_directly_issued_by(certificate(pki / "ca.crt"))


def test_a_kubeconfig_that_is_lost_is_written_again_and_one_that_was_edited_is_kept(
    context: Context, pki: Path
) -> None:
    before = content(context.folder)
    lost = [context.folder / "kubeconfig", *pki.glob("*.kubeconfig")]
    for path in lost:
        path.unlink()
    Pki().ensure(context)
    assert content(context.folder) == before

    edited = (context.folder / "kubeconfig").read_text().replace("namespace: default", "namespace: mine")
    (context.folder / "kubeconfig").write_text(edited)
    Pki().ensure(context)
    assert (context.folder / "kubeconfig").read_text() == edited


def test_what_everything_is_signed_with_is_never_replaced_and_its_loss_is_told(context: Context, pki: Path) -> None:
    for file in SIGNERS:
        kept = (pki / file).read_bytes()
        (pki / file).unlink()
        before = content(context.folder)

        with pytest.raises(UnavailableError, match="has lost what its certificates") as caught:
            Pki().ensure(context)

        assert file in caught.value.why
        assert "down --name box" in caught.value.hint
        assert content(context.folder) == before
        (pki / file).write_bytes(kept)


def test_an_authority_with_the_key_of_another_is_a_lost_one(context: Context, pki: Path) -> None:
    (pki / "ca.key").write_bytes((pki / "etcd-ca.key").read_bytes())
    with pytest.raises(UnavailableError, match="has lost"):
        Pki().ensure(context)


@pytest.mark.parametrize("written", range(1, 7))
def test_a_first_making_that_was_broken_off_is_completed(context: Context, pki: Path, written: int) -> None:
    first = SIGNERS[:written]
    for path in [context.folder / "kubeconfig", *pki.iterdir()]:
        if path.name not in first:
            path.unlink()

    Pki().ensure(context)

    for name, authority in SIGNED_BY.items():
        certificate(pki / f"{name}.crt").verify_directly_issued_by(certificate(pki / f"{authority}.crt"))


def test_two_sandboxes_share_no_authority(context: Context, pki: Path, tmp_path: Path) -> None:
    other = Context("other", "unit", tmp_path / "other", context.ports, {}, 1, context.supervisor)
    Pki().ensure(other)
    with pytest.raises((ValueError, InvalidSignature)):
        certificate(other.pki("admin.crt")).verify_directly_issued_by(certificate(pki / "ca.crt"))


def test_kubeconfigs_name_the_api_server_and_who_speaks(context: Context, pki: Path) -> None:
    for path, user, namespace in (
        (context.folder / "kubeconfig", "admin", "default"),
        (pki / "argocd-server.kubeconfig", "argocd-server", "argocd"),
    ):
        config = yaml.safe_load(path.read_text())
        (cluster,), (identity,), (way,) = config["clusters"], config["users"], config["contexts"]
        assert cluster["cluster"]["server"] == "https://127.0.0.1:20001"
        assert cluster["cluster"]["certificate-authority"] == str(pki / "ca.crt")
        assert identity["user"]["client-certificate"] == str(pki / f"{user}.crt")
        assert way["context"]["namespace"] == namespace
        assert config["current-context"] == way["name"]
