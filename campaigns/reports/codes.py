"""What the codes of decisions, states and reasons mean, in a marketer's words."""

from collections.abc import Mapping
from typing import Final

DECISIONS: Final[Mapping[str, str]] = {
    "entered": "started the rule",
    "control": "counted in the holdout group, which gets no mail",
    "restarted": "began the wait anew",
    "source_not_allowed": "came from a source that may not start this rule",
    "too_old": "was older than the rule allows when it came",
    "condition_failed": "did not meet the rule's condition",
    "already_running": "the person is on the way through this rule already",
    "cooldown": "the rule does not repeat so soon",
    "already_exited": "an exit event had happened already",
}
MAILS: Final[Mapping[str, str]] = {
    "delivered_already": "the provider had reported it as taken",
    "rule_archived": "the rule was archived",
    "rule_paused": "the rule is paused; it goes on when the rule is resumed",
    "rule_unreadable": "the rule's version cannot be read; it goes on once it can",
    "exited": "the person had left the rule",
    "no_address": "the person has no e-mail address",
    "address_untrusted": "the address was said only by a public source",
    "suppressed": "the address is suppressed",
    "unsubscribed": "the person unsubscribed from the topic",
    "no_consent": "the topic needs a consent, and there is none",
    "frequency_cap": "the person had as many marketing mails as allowed",
    "expired": "it was too late to be of use",
    "outside_window": "outside the hours in which it may be sent",
    "condition_failed": "the condition no longer held",
    "template_error": "the template could not be rendered for this person",
    "payload_invalid": "the mail would not be accepted by the provider",
    "context_moved": "the person's facts changed while it was made",
    "no_connection": "its provider cannot be used as it is set up; the log says why",
    "customer_gone": "the person's row was deleted",
    "cancelled": "the journey was cancelled",
    "merged": "the person was merged with another",
    "restart": "the wait began anew",
    "restarted": "the wait began anew",
    "too_many_attempts": "every attempt failed",
    "no_answer": "nobody knows whether the provider took it",
    "restored": "the database was restored, and it may have left before",
    "not_reached": "the provider could not be reached",
    "invalid": "the provider refused the mail",
    "discarded": "somebody discarded it",
    "given_up": "somebody counted it as failed",
    "journey_over": "the journey had ended meanwhile",
}
JOURNEYS: Final[Mapping[str, str]] = {
    "rule_archived": "the rule was archived",
    "exit_event": "an exit event happened",
    "merged": "the person was merged with another",
    "control": "in the holdout group, which gets no mail",
    "completed": "all steps are done",
    "no_variant": "no mail of the step was meant for this person",
    "rule_unreadable": "waits until the rule's version can be read",
    "customer_gone": "the person's row was deleted",
}
SUPPRESSIONS: Final[Mapping[str, str]] = {
    "hard_bounce": "the mailbox does not exist (hard bounce)",
    "complaint": "the person reported a mail as spam",
    "invalid": "the address is not valid",
    "unsubscribed": "the person unsubscribed",
    "manual": "somebody blocked it by hand",
    "erasure": "the person asked to be erased",
}
REFUSALS: Final[Mapping[str, str]] = {
    "not_reached": "the provider could not be reached",
    "not_tried": "it waited for its turn for too long",
    "rate_limited": "the provider asked for a slower rate",
    "unauthorised": "the provider refused our key",
    "invalid": "the provider refused the mail",
}
TURNED_AWAY: Final[Mapping[str, str]] = {
    "missing_key": "events without a write key",
    "unknown_key": "events with a key that no source has, or that was revoked",
    "webhook_no_signature": "webhooks without a signature",
    "webhook_bad_timestamp": "webhooks whose signed time is no time, or lies ahead",
    "webhook_bad_key": "webhooks to an endpoint without a usable key",
    "webhook_bad_signature": "webhooks that no key of the endpoint has signed",
    "webhook_stale": "webhooks that were signed too long ago",
}
# What became of the mail that a step waited for.
OUTCOMES: Final[Mapping[str, str]] = {
    "sent": "was sent",
    "skipped": "was not sent",
    "failed": "failed",
    "unknown": "was handed over, and no answer came",
    "cancelled": "was cancelled",
}
REPORTS: Final[Mapping[str, str]] = {
    "processed": "Accepted by the provider",
    "delivered": "Delivered",
    "deferred": "Delayed by the mailbox",
    "bounced": "Bounced",
    "blocked": "Blocked by the mailbox's provider",
    "dropped": "Dropped by the provider",
    "opened": "Opened",
    "clicked": "Clicked",
    "complained": "Reported as spam",
    "unsubscribed": "Unsubscribed",
    "group_unsubscribed": "Unsubscribed",
    "group_resubscribed": "Subscribed again",
    "unknown": "Something else was reported",
}
# A decision, a state or a reason in at most three words, for a badge.
LABELS: Final[Mapping[str, str]] = {
    "entered": "started",
    "control": "holdout",
    "restarted": "wait began anew",
    "source_not_allowed": "source not allowed",
    "condition_failed": "condition not met",
    "already_running": "under way already",
    "cooldown": "too soon again",
    "already_exited": "left already",
    "complained": "reported as spam",
    "complaint": "spam report",
    "manual": "by hand",
    "claimed": "being prepared",
    "exited": "left early",
    "treated": "gets the mails",
}
