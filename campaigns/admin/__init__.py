"""The admin: one file a noun, over one thin base."""

from campaigns.admin import (
    accounts,
    company,
    customers,
    dashboard,
    events,
    journeys,
    messages,
    rules,
    sources,
    steps,
    suppressions,
    system,
    templates,
)

__all__ = [
    "accounts",
    "company",
    "customers",
    "dashboard",
    "events",
    "journeys",
    "messages",
    "rules",
    "sources",
    "steps",
    "suppressions",
    "system",
    "templates",
]
