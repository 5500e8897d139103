"""Pure texts for `nft` and `ip`: what an outbound guest may reach, and how its cable is laid."""

from __future__ import annotations

import ipaddress
import zlib
from collections.abc import Iterable

# Not the outside world: this network, private, shared, loopback, link-local, protocol assignments, benchmarks,
# multicast, reserved, broadcast.
CLOSED = (
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "224.0.0.0/4",
    "240.0.0.0/4",
)
_SUBNETS = tuple(f"10.{b}.0.0/20" for b in range(213, 250))


def table_name(instance: str) -> str:
    return f"upwhisk_{instance}"


def bridge_name(instance: str) -> str:
    return f"uwb-{instance}"[:15]


def free_subnet(taken: Iterable[str]) -> str:
    """The first of our subnets that overlaps no network in `taken` (CIDR). Raises `LookupError`."""
    networks = [ipaddress.ip_network(text, strict=False) for text in taken]
    for text in _SUBNETS:
        candidate = ipaddress.ip_network(text)
        if not any(candidate.overlaps(n) for n in networks if n.version == 4 and n.prefixlen):
            return text
    raise LookupError("every subnet is taken")


def address_of(subnet: str, number: int) -> str:
    return str(ipaddress.ip_network(subnet)[number])


def rules(
    instance: str, subnet: str, resolvers: Iterable[str], allow: Iterable[str], closed: Iterable[str] = ()
) -> str:
    """Our own table. What it drops is dropped whatever other tables say; what it accepts others may still drop. `closed`:
    addresses that are not reached even where `allow` holds them."""
    bridge = bridge_name(instance)
    servers, allowed = ", ".join(resolvers), ", ".join(_v4(allow))
    name_service = (
        f"meta l4proto {{ tcp, udp }} th dport 53 ip daddr {{ {servers} }} accept" if servers else ""
    )
    allowance = f"ip daddr {{ {allowed} }} accept" if allowed else ""
    services = f"ip daddr {{ {', '.join(sorted(set(closed)))} }} drop" if closed else ""
    return f"""
table inet {table_name(instance)} {{
  chain input {{
    type filter hook input priority -10; policy accept;
    iifname "{bridge}" drop
  }}
  chain leave {{
    meta nfproto ipv6 drop
    fib daddr type {{ local, broadcast, multicast }} drop
    {name_service}
    meta l4proto {{ tcp, udp }} th dport 53 drop
    {services}
    {allowance}
    ip daddr {{ {", ".join(CLOSED)} }} drop
    accept
  }}
  chain forward {{
    type filter hook forward priority -10; policy accept;
    iifname "{bridge}" oifname "{bridge}" drop
    iifname "{bridge}" jump leave
    oifname "{bridge}" ct state established,related accept
    oifname "{bridge}" drop
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr {subnet} oifname != "{bridge}" masquerade
  }}
}}
"""


def _v4(networks: Iterable[str]) -> list[str]:
    return [text for text in networks if ipaddress.ip_network(text, strict=False).version == 4]


def bridge_commands(instance: str, subnet: str) -> str:
    """For `ip -batch -` on the host.

    The bridge has an address of its own: without one it takes the lowest of its cables', which changes as guests come
    and go, and the others would go on sending to the address they know.
    """
    bridge = bridge_name(instance)
    prefix = subnet.rpartition("/")[2]
    return (
        f"link add {bridge} address {_bridge_address(instance)} type bridge\nlink set {bridge} addrgenmode none\n"
        f"addr add {address_of(subnet, 1)}/{prefix} dev {bridge}\nlink set {bridge} up\n"
    )


def _bridge_address(instance: str) -> str:
    return ":".join(("02", "75", *(f"{byte:02x}" for byte in zlib.crc32(instance.encode()).to_bytes(4, "big"))))


def cable_name(instance: str, name: str) -> str:
    return f"uwv{instance}-{name}"[:15]


def inside_commands(cable: str, subnet: str, number: int, host_pid: int) -> str:
    """For `ip -batch -` inside a new network namespace; the other end appears in that of process `host_pid`."""
    prefix = subnet.rpartition("/")[2]
    return (
        f"link add eth0 type veth peer name {cable} netns {host_pid}\nlink set eth0 addrgenmode none\n"
        f"addr add {address_of(subnet, number)}/{prefix} dev eth0\nlink set lo up\nlink set eth0 up\n"
        f"route add default via {address_of(subnet, 1)}\n"
    )


def outside_commands(cable: str, instance: str) -> str:
    """For `ip -batch -` on the host: plug the cable in. Isolated ports do not see one another."""
    return (
        f"link set {cable} addrgenmode none\nlink set {cable} master {bridge_name(instance)}\n"
        f"link set {cable} type bridge_slave isolated on\nlink set {cable} up\n"
    )
