"""Audit: what is wrong with a table or its split, each finding with its evidence and what to do."""

from soundfit.data.audit.inspection import audit

__all__ = ["audit"]
