"""``python -m s3front``."""

from s3front.cli import main

main()
