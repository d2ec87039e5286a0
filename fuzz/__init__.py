"""Hostile input at length: what `make fuzz` runs (docs/security.md)."""
