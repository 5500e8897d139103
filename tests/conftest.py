"""What every suite may use."""

from __future__ import annotations

pytest_plugins = ["services.fixtures", "sandbox.docker_fixtures"]
