"""Sandboxes in which guests run, made of Linux namespaces and cgroups."""
