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


@verb(
    help={
        "context": "The context of your kubeconfig whose user is to be granted it.",
        "tenants": "The names under which stories will work, joined by commas; all stories and the sabotages' when"
        " left out.",
    }
)
def role(_: Context, *, context: str = "", name: str = DEFAULT_NAME, tenants: str = "", json: bool = False) -> None:
    """Print what an administrator has to grant for a sandbox in an existing cluster: namespaces, and a Role in each.

    Who may make namespaces and grant rights in all of them needs none of it: the sandbox then limits itself by these
    very Roles.

    Examples: role --context team; role --context team --tenants core > grants.yaml
    """
    output = Output(as_json=json)
    chosen = [each for each in tenants.split(",") if each] or [*scenarios.catalogue(), "sabotage"]
    # As the engine names them: another sandbox of the same cluster has other names.
    mine = [Tenant(each, prefix=f"{name}-") for each in chosen]
    namespaces = [tenant.application(environment) for tenant in mine for environment in ENVIRONMENTS]
    manifests = sandboxes.grants(name, context, namespaces)
    if not json:
        print("# For an administrator: kubectl apply --server-side --filename FILE")  # noqa: T201  # a file's first line
        print(yaml.safe_dump_all(manifests, sort_keys=False), end="")  # noqa: T201  # a file, not a message
    output.result({"manifests": manifests})
