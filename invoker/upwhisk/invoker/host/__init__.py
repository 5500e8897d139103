"""The host a node runs on: its samples and their forecast."""
