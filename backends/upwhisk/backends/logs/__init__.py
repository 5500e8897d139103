"""Log stores."""
