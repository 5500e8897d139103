"""What containers are made with, as far as it comes from the settings."""

from __future__ import annotations

import pytest

from upwhisk.cli.factories import addresses_of, network_of, services_of
from upwhisk.common.errors import ConfigurationError
from upwhisk.common.settings import CouchDBSettings, GuestSettings, KafkaSettings, PluginSettings, Settings


def test_networks_and_resolvers_are_addresses() -> None:
    allow = ("10.0.0.0/8", "fd00::/8", "10.1.2.3")
    assert network_of(GuestSettings(allow=allow), "/s").allow == allow
    with pytest.raises(ConfigurationError, match=r"setting guest\.allow: 'foo' is no network"):
        network_of(GuestSettings(allow=("10.0.0.0/8", "foo")), "/s")
    with pytest.raises(ConfigurationError, match=r"setting guest\.resolvers: 'foo' is no IPv4 address"):
        network_of(GuestSettings(resolvers=("foo",)), "/s")


def test_a_fleets_services_are_closed_to_guests() -> None:
    fleet = PluginSettings(store="couchdb", bus="kafka", nodes="consul")
    kafka = KafkaSettings(bootstrap=("198.51.100.7:9092", "198.51.100.8:9092"))
    hosts = services_of(Settings(plugins=fleet, kafka=kafka, couchdb=CouchDBSettings(url="https://user@localhost:6984")))
    assert hosts == ["localhost", "127.0.0.1", "198.51.100.7", "198.51.100.8"]
    assert addresses_of([*hosts, "nowhere.invalid"]) == ("127.0.0.1", "198.51.100.7", "198.51.100.8")
    assert services_of(Settings()) == []
