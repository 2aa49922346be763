"""The toolchain: from versions.toml to verified programs in a cache."""

from sandbox.toolchain.ensure import ensure_tools
from sandbox.toolchain.tool import Progress, Tool
from sandbox.toolchain.versions import Versions, load_versions, version_set

__all__ = ["Progress", "Tool", "Versions", "ensure_tools", "load_versions", "version_set"]
