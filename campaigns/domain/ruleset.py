"""The published rules, compiled for matching."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from zoneinfo import ZoneInfo

from campaigns.domain.conditions import history_questions
from campaigns.domain.documents import Document, Step
from campaigns.domain.states import Kind, RuleStatus
from campaigns.domain.timing import zone_of


@dataclass(frozen=True)
class Version:
    """One published version: its document, and where its mail leaves."""

    id: int
    rule: int
    document: Document
    provider: int = 0

    @cached_property
    def kind(self) -> Kind:
        """Return what its mails are in the eyes of the law."""
        return Kind(self.document.kind)

    def step(self, index: int) -> Step:
        """Return the step at that index."""
        return self.document.steps[index]

    @cached_property
    def names(self) -> frozenset[str]:
        """Return every event name that the version waits for or counts."""
        doc = self.document
        names = set(doc.trigger.events) | self.later_names
        names.update(n.name for n in history_questions(doc.condition))
        for step in doc.steps:
            for variant in step.variants:
                names.update(n.name for n in history_questions(variant.condition))
        return frozenset(names)

    @cached_property
    def later_names(self) -> frozenset[str]:
        """Return the names that matter to a journey already under way."""
        doc = self.document
        names = set(doc.exit.events) if doc.exit else set()
        if doc.goal:
            names.add(doc.goal.event)
        for step in doc.steps:
            if step.wait_for:
                names.update(step.wait_for.events)
        return frozenset(names)


@dataclass(frozen=True, slots=True)
class Policy:
    """What holds for the whole company."""

    time_zone: str = "UTC"
    cap_messages: int | None = None
    cap_days: int = 7
    speed: int = 1

    def zone(self, name: str) -> ZoneInfo:
        """Return the customer's time zone, else the company's."""
        return zone_of(name or None, zone_of(self.time_zone, ZoneInfo("UTC")))


@dataclass(frozen=True)
class Ruleset:
    """All that the engine reads of rules, as of one number.

    `versions` are those that can be read. One that cannot (its stored document
    is refused) counts as paused: it takes nobody in, its mails are held, its
    journeys keep their places, and stops stop them.
    """

    number: int
    versions: Mapping[int, Version]
    current: Mapping[int, int]
    statuses: Mapping[int, RuleStatus]
    policy: Policy = field(default_factory=Policy)

    @cached_property
    def entries(self) -> Mapping[str, tuple[Version, ...]]:
        """Return the current versions of active rules by trigger name."""
        found: dict[str, list[Version]] = {}
        for rule, version in sorted(self.current.items()):
            readable = self.versions.get(version)
            if readable is not None and self.statuses[rule] is RuleStatus.ACTIVE:
                for name in readable.document.trigger.events:
                    found.setdefault(name, []).append(readable)
        return {name: tuple(versions) for name, versions in found.items()}

    @cached_property
    def names(self) -> frozenset[str]:
        """Return every event name for which people must be locked."""
        return names_of(self.versions.values())

    def version(self, version: int | None) -> Version | None:
        """Return a version, or None if there is none that can be read."""
        return None if version is None else self.versions.get(version)

    def status(self, rule: int) -> RuleStatus:
        """Return the status of a rule; one that is gone counts as archived."""
        return self.statuses.get(rule, RuleStatus.ARCHIVED)


def names_of(versions: Iterable[Version]) -> frozenset[str]:
    """Return the union of the versions' names."""
    return frozenset().union(*(v.names for v in versions))
