"""``python -m dmd``."""

from dmd.cli import main

main()
