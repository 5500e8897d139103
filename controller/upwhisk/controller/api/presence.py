"""Whether calls are to be sent here, for who stands before it: a proxy, a container engine."""

from __future__ import annotations


class Presence:
    """`leaving`: a stop is near, and `/ping` says so. What comes all the same is taken as long as the listener does."""

    leaving = False
