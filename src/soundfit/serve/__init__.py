"""Serve: a run's model as a local page and HTTP API."""

from soundfit.serve.app import make_app

__all__ = ["make_app"]
