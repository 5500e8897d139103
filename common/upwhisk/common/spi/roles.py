"""The processes of a fleet, as what a service lets them do: each has its own login and no more rights than it needs."""

from __future__ import annotations

from typing import Literal

Role = Literal["controller", "node"]
