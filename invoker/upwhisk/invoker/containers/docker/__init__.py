"""Guests in containers of a Docker engine on this machine. The client libraries are imported where they are used: the
plain install does not have them."""
