"""What containers are made with, as far as it comes from the settings."""

from __future__ import annotations

import pytest

from upwhisk.cli.factories import network_of
from upwhisk.common.errors import ConfigurationError
from upwhisk.common.settings import GuestSettings


def test_networks_and_resolvers_are_addresses() -> None:
    allow = ("10.0.0.0/8", "fd00::/8", "10.1.2.3")
    assert network_of(GuestSettings(allow=allow), "/s").allow == allow
    with pytest.raises(ConfigurationError, match=r"setting guest\.allow: 'foo' is no network"):
        network_of(GuestSettings(allow=("10.0.0.0/8", "foo")), "/s")
    with pytest.raises(ConfigurationError, match=r"setting guest\.resolvers: 'foo' is no IPv4 address"):
        network_of(GuestSettings(resolvers=("foo",)), "/s")
