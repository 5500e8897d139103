"""Feeds: each fires its trigger and goes on where it stopped."""
