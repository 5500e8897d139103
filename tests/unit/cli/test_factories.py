"""What containers are made with, as far as it comes from the settings."""

from __future__ import annotations

import pytest

from upwhisk.cli.factories import _checked, _networks
from upwhisk.common.errors import ConfigurationError


def test_networks_and_resolvers_are_addresses() -> None:
    assert _networks(("10.0.0.0/8", "fd00::/8", "10.1.2.3")) == ("10.0.0.0/8", "fd00::/8", "10.1.2.3")
    with pytest.raises(ConfigurationError, match=r"setting guest\.allow: 'foo' is no network"):
        _networks(("10.0.0.0/8", "foo"))
    with pytest.raises(ConfigurationError, match=r"setting guest\.resolvers: 'foo' is no IPv4 address"):
        _checked(("foo",))
