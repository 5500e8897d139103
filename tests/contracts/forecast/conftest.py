"""Every forecaster that there is; a new one is one line."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from upwhisk.common.spi.forecast import Forecaster
from upwhisk.invoker.host.persistence import PersistenceForecaster

FORECASTERS: dict[str, Callable[[], Forecaster]] = {"persistence": PersistenceForecaster}


@pytest.fixture(params=FORECASTERS)
def forecaster(request: pytest.FixtureRequest) -> Forecaster:
    return FORECASTERS[request.param]()
