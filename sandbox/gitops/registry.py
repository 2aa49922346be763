"""What the registry really holds, asked over its own API (OCI distribution specification)."""

from __future__ import annotations

from dataclasses import dataclass, field

import requests

from sandbox.core.conditions import Observation, met, pending
from sandbox.core.errors import UnavailableError
from sandbox.core.proxies import direct_session
from sandbox.gitops.predicates import Predicate

__all__ = ["RegistryView"]

_SECONDS = 5.0
_MOST_REPOSITORIES = 1000
_MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, "
    "application/vnd.docker.distribution.manifest.v2+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json"
)


@dataclass(frozen=True, slots=True)
class RegistryView:
    """Looks into the registry; all that it changes there is to remove what a tenant has pushed.

    Attributes:
        address: ``host:port``.
        user: The account.
        password: Its password; kept out of ``repr``.
    """

    address: str
    user: str
    password: str = field(repr=False)

    def digest(self, name: str, reference: str) -> str | None:
        """Give the digest that a tag stands for; None when the registry has no such tag.

        Args:
            name: The repository: ``core/greeter``.
            reference: A tag or a digest.

        Raises:
            UnavailableError: The registry does not answer, or not as one.
        """
        answer = self._ask("HEAD", f"{name}/manifests/{reference}", accept=_MANIFESTS)
        return None if answer is None else str(answer.headers["Docker-Content-Digest"])

    def _ask(self, method: str, path: str, *, accept: str = "*/*") -> requests.Response | None:
        """Send one request; None when the registry has nothing there."""
        url = f"http://{self.address}/v2/{path}"
        try:
            with direct_session() as session:
                account = (self.user, self.password)
                answer = session.request(method, url, auth=account, headers={"Accept": accept}, timeout=_SECONDS)
        except requests.RequestException as error:
            raise UnavailableError("the registry does not answer", why=str(error)) from error
        if answer.status_code == requests.codes.not_found:
            return None
        if not answer.ok:
            raise UnavailableError(f"the registry answered {answer.status_code} to {method} {url}")
        return answer

    def tags(self, prefix: str) -> dict[str, list[str]]:
        """Give the tags of each repository whose name begins so, sorted; one that has no tag is left out.

        Raises:
            UnavailableError: The registry does not answer, or not as one.
        """
        # One page: a sandbox has fewer repositories.
        catalog = self._ask("GET", f"_catalog?n={_MOST_REPOSITORIES}")
        names = [name for name in (catalog.json()["repositories"] if catalog else ()) if name.startswith(prefix)]
        listed = {name: self._ask("GET", f"{name}/tags/list") for name in names}
        # Of a repository that has lost all of its tags, Distribution says null.
        found = {name: sorted(answer.json()["tags"] or ()) for name, answer in listed.items() if answer}
        return {name: tags for name, tags in found.items() if tags}

    def remove(self, prefix: str) -> None:
        """Remove every tagged image of the repositories whose names begin so (OCI distribution specification, end-9).

        Raises:
            UnavailableError: The registry does not answer, or refuses.
        """
        for name, tags in self.tags(prefix).items():
            for digest in {self.digest(name, tag) for tag in tags} - {None}:
                self._ask("DELETE", f"{name}/manifests/{digest}")

    def holds(self, image: str) -> Predicate:
        """The registry holds an image as it is named; see ``look``."""
        return Predicate(f"the registry to hold {image}", lambda: self.look(image), {"image": image})

    def look(self, image: str) -> Observation:
        """Look whether the registry holds an image as it is named, ``address/name:tag@digest``.

        The digest must be the one that the tag stands for: a tag that was moved, or an image that
        was announced but never pushed, is seen.
        """
        place, _, digest = image.partition("@")
        name, _, tag = place.removeprefix(f"{self.address}/").rpartition(":")
        if not place.startswith(f"{self.address}/") or not (name and tag and digest):
            return pending(f"{image!r} does not name an image of this registry by tag and digest")
        held = self.digest(name, tag)
        if held != digest:
            return pending(f"tag {tag} of {name} is {held or 'not in the registry'}, the cluster was told {digest}")
        return met(f"{tag} is {digest}")
