"""What every suite may use."""

from __future__ import annotations

pytest_plugins = ["fakes.standalone_fixture", "services.fixtures", "sandbox.docker_fixtures"]
