"""``python -m soundfit``: the command line, where the command itself is not on the path."""

from soundfit.cli.main import run

run()
