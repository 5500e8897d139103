"""Why a service cannot be had."""

from __future__ import annotations


class Unavailable(Exception):
    """A service cannot be prepared or started here; the text says why and what to do about it."""
