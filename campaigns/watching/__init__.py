"""Watching a deployment: what /metrics shows, and what `manage.py doctor` finds."""
