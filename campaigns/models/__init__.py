"""The tables. One file a noun; the words are those of the admin and the API."""

from campaigns.models.clusters import ClusterBeat
from campaigns.models.customers import (
    Consent,
    Customer,
    Identity,
    Refusal,
    Subscription,
    Topic,
)
from campaigns.models.events import Event, IngestState, RecordedOrder
from campaigns.models.feedback import DeliveryEvent, WebhookBatch, WebhookEndpoint
from campaigns.models.journeys import Conversion, Cooldown, Journey, Timer
from campaigns.models.messages import Attempt, Message
from campaigns.models.rules import (
    DecisionCount,
    Rule,
    RuleStatusChange,
    RuleVersion,
    Step,
    Variant,
)
from campaigns.models.senders import Company, Provider, Sender
from campaigns.models.sources import RefusedCount, RejectedEvent, Source, SourceKey
from campaigns.models.suppressions import Suppression
from campaigns.models.templates import Template, TemplateVersion

__all__ = [
    "Attempt",
    "ClusterBeat",
    "Company",
    "Consent",
    "Conversion",
    "Cooldown",
    "Customer",
    "DecisionCount",
    "DeliveryEvent",
    "Event",
    "Identity",
    "IngestState",
    "Journey",
    "Message",
    "Provider",
    "RecordedOrder",
    "Refusal",
    "RefusedCount",
    "RejectedEvent",
    "Rule",
    "RuleStatusChange",
    "RuleVersion",
    "Sender",
    "Source",
    "SourceKey",
    "Step",
    "Subscription",
    "Suppression",
    "Template",
    "TemplateVersion",
    "Timer",
    "Topic",
    "Variant",
    "WebhookBatch",
    "WebhookEndpoint",
]
