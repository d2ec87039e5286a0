"""Loaded by drilled processes only: lost answers, and guards taken out."""
