"""One public key infrastructure for each sandbox, made in some milliseconds with elliptic keys.

Three authorities, so that a certificate for one thing opens no other: the cluster's (API server
and its clients), etcd's (only the API server holds a client certificate), and Argo CD's between
its own components. Names and groups are those of the Kubernetes "PKI certificates and
requirements" page; Argo CD's components hold certificates for the very service accounts that
they have inside a cluster, so that the official RBAC manifests bind them as they stand.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import yaml
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sandbox.components.base import ARGOCD_NAMESPACE, Context
from sandbox.core.conditions import Observation, met
from sandbox.core.errors import UnavailableError
from sandbox.core.files import write_file
from sandbox.core.ports import LOOPBACK

__all__ = ["ARGOCD_ACCOUNTS", "SERVICE_NETWORK", "Pki", "argocd_pki"]

SERVICE_NETWORK = "10.96.0.0/16"
_SERVICE_ADDRESS = "10.96.0.1"  # the first of the service network: kubernetes.default
_LIFETIME = dt.timedelta(days=3650)

_SERVICE_NAMES = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")


@dataclass(frozen=True, slots=True)
class _Leaf:
    """One certificate: who it names, and whether it serves under host names."""

    file: str
    authority: str
    common_name: str
    groups: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


def _service_account(component: str) -> _Leaf:
    account = f"system:serviceaccount:{ARGOCD_NAMESPACE}:{component}"
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{ARGOCD_NAMESPACE}")
    return _Leaf(component, "ca", account, groups)


ARGOCD_ACCOUNTS = (
    "argocd-application-controller",
    "argocd-applicationset-controller",
    "argocd-notifications-controller",
    "argocd-server",
)

_LEAVES = (
    _Leaf("apiserver", "ca", "kube-apiserver", hosts=(LOOPBACK, "localhost", _SERVICE_ADDRESS, *_SERVICE_NAMES)),
    _Leaf("admin", "ca", "gitops-sandbox-admin", ("system:masters",)),
    _Leaf("probe", "ca", "gitops-sandbox-probe"),
    _Leaf("kube-controller-manager", "ca", "system:kube-controller-manager"),
    _Leaf("kube-scheduler", "ca", "system:kube-scheduler"),
    _Leaf("kwok", "ca", "kwok-controller"),
    *(_service_account(account) for account in ARGOCD_ACCOUNTS),
    _Leaf("etcd", "etcd-ca", "etcd", hosts=(LOOPBACK, "localhost")),
    _Leaf("apiserver-etcd-client", "etcd-ca", "kube-apiserver-etcd-client"),
    _Leaf("argocd-tls", "argocd-ca", "argocd-server", hosts=(LOOPBACK, "localhost")),
    _Leaf("argocd-client", "argocd-ca", "argocd-component"),
)
_ACCOUNTS_KEY = "service-account.key"
_Pair = tuple[ec.EllipticCurvePrivateKey, x509.Certificate]

# Who speaks to the API server by a kubeconfig, and in which namespace it stands.
_ADMIN = "admin"
_KUBECONFIGS = {
    _ADMIN: "default",
    "kube-controller-manager": "default",
    "kube-scheduler": "default",
    "kwok": "default",
    **dict.fromkeys(ARGOCD_ACCOUNTS, ARGOCD_NAMESPACE),
}


@dataclass(frozen=True, slots=True)
class Pki:
    """Keys, certificates and kubeconfigs of one sandbox, in its ``pki/`` folder.

    Attributes:
        leaves: The certificates; their authorities are made too.
        keys: Keys that nothing certifies, by file name.
        kubeconfigs: Who speaks to the API server by one, and in which namespace it stands.
    """

    leaves: tuple[_Leaf, ...] = _LEAVES
    keys: tuple[str, ...] = (_ACCOUNTS_KEY,)
    kubeconfigs: Mapping[str, str] = field(default_factory=lambda: _KUBECONFIGS)

    name: ClassVar[str] = "pki"
    requires: ClassVar[tuple[str, ...]] = ()
    ports: ClassVar[tuple[str, ...]] = ("apiserver",)

    def ensure(self, context: Context) -> None:
        """Make what is missing or damaged, out of the authorities that are there; a set that is whole is left alone.

        Raises:
            UnavailableError: What everything else is signed with is lost, so that nothing can be made that fits.
        """
        folder = context.dir("pki")
        authorities = self._ensure_signers(folder, context.name)
        for leaf in self.leaves:
            key, certificate = authorities[leaf.authority]
            if not _is_whole(folder, leaf, certificate):
                _make_leaf(folder, leaf, key, certificate)
        for user, namespace in self.kubeconfigs.items():
            _ensure_kubeconfig(folder / f"{user}.kubeconfig", context, user, namespace)
        if _ADMIN in self.kubeconfigs:
            _ensure_kubeconfig(context.folder / "kubeconfig", context, _ADMIN, self.kubeconfigs[_ADMIN])

    def _ensure_signers(self, folder: Path, sandbox: str) -> dict[str, _Pair]:
        """Give the authorities, made where nothing was signed yet; the key of service accounts is made with them.

        A new authority in the place of a lost one would fit nothing: what runs holds certificates of the old.
        """
        names = dict.fromkeys(leaf.authority for leaf in self.leaves)
        found = {name: pair for name in names if (pair := _load_pair(folder, name))}
        lost = [f"{name}.{kind}" for name in names if name not in found for kind in ("key", "crt")]
        lost_keys = [name for name in self.keys if _load_key(folder / name) is None]
        lost += lost_keys
        if lost and any((folder / f"{leaf.file}.key").exists() for leaf in self.leaves):
            raise UnavailableError(
                f"sandbox {sandbox} has lost what its certificates and tokens are signed with",
                why=f"missing, damaged or of two kinds in {folder}: {', '.join(lost)}",
                hint=f"put them back if there is a copy; else make all anew: down --name {sandbox}, then up",
            )
        for name in lost_keys:
            # Kubernetes signs service account tokens with RSA unless told otherwise; ES256 is as good and made at once.
            _write_key(folder / name, ec.generate_private_key(ec.SECP256R1()))
        return {name: found.get(name) or _make_authority(folder, name, sandbox) for name in names}

    def ready(self, context: Context) -> Observation:
        """It is ready as soon as it was made."""
        del context
        return met("made")

    def diagnose(self, context: Context, into: Path) -> None:
        """Nothing: keys never leave the state folder."""

    def remove(self, context: Context) -> None:
        """Nothing: it goes with the state folder."""


def argocd_pki() -> Pki:
    """Give the part that a sandbox needs whose cluster makes its own: Argo CD's."""
    return Pki(tuple(leaf for leaf in _LEAVES if leaf.authority == "argocd-ca"), keys=(), kubeconfigs={})


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey | None:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return key if isinstance(key, ec.EllipticCurvePrivateKey) else None


def _load_pair(folder: Path, name: str) -> _Pair | None:
    """Read a key and its certificate; None when one is missing or damaged, or they don't belong together."""
    key = _load_key(folder / f"{name}.key")
    try:
        certificate = x509.load_pem_x509_certificate((folder / f"{name}.crt").read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return (key, certificate) if key and key.public_key() == certificate.public_key() else None


def _is_whole(folder: Path, leaf: _Leaf, authority: x509.Certificate) -> bool:
    pair = _load_pair(folder, leaf.file)
    if pair is None:
        return False
    try:
        pair[1].verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _ensure_kubeconfig(path: Path, context: Context, user: str, namespace: str) -> None:
    # Its content is not looked at: people choose another namespace or context in theirs.
    if not path.exists() or not path.stat().st_size:
        write_file(path, _kubeconfig(context, user, namespace))


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    # The only private form whose public half kube-apiserver can read too (client-go keyutil.ParsePublicKeysPEM).
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    write_file(path, pem)


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        # An hour of slack: a machine that wakes up may have set its clock back a little.
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + _LIFETIME)
    )


def _make_authority(folder: Path, name: str, sandbox: str) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"gitops-sandbox {sandbox} {name}")])
    certificate = (
        _builder(subject, subject, key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                key_cert_sign=True,
                crl_sign=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write_key(folder / f"{name}.key", key)
    write_file(folder / f"{name}.crt", certificate.public_bytes(serialization.Encoding.PEM))
    return key, certificate


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _make_leaf(
    folder: Path, leaf: _Leaf, authority_key: ec.EllipticCurvePrivateKey, authority: x509.Certificate
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in leaf.groups]
        + [x509.NameAttribute(NameOID.COMMON_NAME, leaf.common_name)]
    )
    uses = [ExtendedKeyUsageOID.CLIENT_AUTH, *([ExtendedKeyUsageOID.SERVER_AUTH] if leaf.hosts else [])]
    builder = _builder(subject, authority.subject, key.public_key())
    builder = builder.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False
    )
    if leaf.hosts:
        names = x509.SubjectAlternativeName([_general_name(host) for host in leaf.hosts])
        builder = builder.add_extension(names, critical=False)
    _write_key(folder / f"{leaf.file}.key", key)
    certificate = builder.sign(authority_key, hashes.SHA256())
    write_file(folder / f"{leaf.file}.crt", certificate.public_bytes(serialization.Encoding.PEM))


def _kubeconfig(context: Context, user: str, namespace: str) -> str:
    pki = context.folder / "pki"
    name = f"gitops-sandbox-{context.name}"
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": name,
            "clusters": [
                {
                    "name": name,
                    "cluster": {
                        "server": f"https://{context.address('apiserver')}",
                        "certificate-authority": str(pki / "ca.crt"),
                    },
                }
            ],
            "users": [
                {
                    "name": user,
                    "user": {
                        "client-certificate": str(pki / f"{user}.crt"),
                        "client-key": str(pki / f"{user}.key"),
                    },
                }
            ],
            "contexts": [{"name": name, "context": {"cluster": name, "user": user, "namespace": namespace}}],
        },
        sort_keys=False,
    )
