"""The API suite, unchanged, against a fleet: one suite, two targets."""

from __future__ import annotations

import pytest
from api.elsewhere import run_api_suite
from fleet.fleet import Fleet

pytestmark = [pytest.mark.sandbox, pytest.mark.external_service]


@pytest.mark.timeout(400)
def test_the_api_suite(fleet: Fleet, other_key: str) -> None:
    run_api_suite(fleet.urls[0], fleet.key, other_key)
