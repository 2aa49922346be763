"""The verb that shows what a sandbox needs in somebody's cluster."""

from __future__ import annotations

import yaml
from invoke.context import Context

import scenarios
from sandbox.cli.flags import DEFAULT_NAME
from sandbox.cli.output import Output
from sandbox.cli.verb import verb
from sandbox.engines import sandboxes
from sandbox.gitops.tenant import ENVIRONMENTS, Tenant

__all__ = ["role"]

_TRUST = (
    "# Whoever may make an Application beside an Argo CD may have it deploy whatever it may: see"
    " docs/decisions/0015-existing-cluster.md"
)


@verb(
    help={
        "context": "The context of your kubeconfig whose user is to be granted it.",
        "argocd": "The namespace of the Argo CD that the sandbox is to be a guest of; its own when left out.",
        "tenants": "The names under which stories will work, joined by commas; all stories and the sabotages' when"
        " left out.",
    }
)
def role(  # one for each flag
    _: Context,
    *,
    context: str = "",
    name: str = DEFAULT_NAME,
    argocd: str = "",
    tenants: str = "",
    json: bool = False,
) -> None:
    """Print what an administrator has to grant for a sandbox in an existing cluster: namespaces, and a Role in each.

    Who may make namespaces and grant rights in all of them needs none of it: the sandbox then limits itself by these
    very Roles.

    Examples: role --context team; role --context team --tenants core > grants.yaml;
    role --context team --argocd argocd
    """
    output = Output(as_json=json)
    chosen = [each for each in tenants.split(",") if each] or [*scenarios.catalogue(), "sabotage"]
    # As the engine names them: another sandbox of the same cluster has other names.
    mine = [Tenant(each, prefix=f"{name}-") for each in chosen]
    namespaces = [tenant.application(environment) for tenant in mine for environment in ENVIRONMENTS]
    manifests = sandboxes.grants(name, context, namespaces, argocd, [tenant.in_argocd for tenant in mine])
    if not json:
        print("# For an administrator: kubectl apply --server-side --filename FILE")  # noqa: T201  # a file's first line
        if argocd:
            print(_TRUST)  # noqa: T201  # and its second
        print(yaml.safe_dump_all(manifests, sort_keys=False), end="")  # noqa: T201  # a file, not a message
    output.result({"manifests": manifests})
