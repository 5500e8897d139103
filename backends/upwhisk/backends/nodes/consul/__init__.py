"""The registry of a fleet: nodes are Consul services, what they say of themselves, flags and claims are keys."""

from upwhisk.backends.nodes.consul.registry import ConsulRegistry

__all__ = ["ConsulRegistry"]
