"""Node registries."""
