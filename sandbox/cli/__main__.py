"""Run by the ``inv`` script: ``python -m sandbox.cli``."""

from sandbox.cli.program import main

if __name__ == "__main__":
    main()
