"""The command's start: ``python -m sandbox.cli`` of the ``inv`` script, and ``gitops-sandbox``."""

import gc

_OBJECTS = 50_000

__all__ = ["main"]


def main() -> None:
    """Run the command line (``sandbox.cli.program``)."""
    # Modules and manifests are many objects that all are kept; to look among them for what is not, as often as Python
    # does by default (700 objects), takes a tenth of a short command and half of the time to read a manifest.
    gc.set_threshold(_OBJECTS)
    from sandbox.cli import program  # noqa: PLC0415  # read after that

    program.main()


if __name__ == "__main__":
    main()
