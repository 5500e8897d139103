"""How a fleet keeps its promise: one final record for each accepted id, whatever dies (`docs/delivery.md`)."""
