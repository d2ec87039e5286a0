"""POST /v3/mail/send: authenticate, check, keep, tell the webhooks."""

import secrets
from typing import cast

from demo.sendgrid_simulator import mail as mail_checks
from demo.sendgrid_simulator.answers import RefusedRequest, Reply, as_json, json_object
from demo.sendgrid_simulator.faults import Fault, Faults
from demo.sendgrid_simulator.store import Mail, Store, now
from demo.sendgrid_simulator.webhooks import Event, Webhooks, event_of


class HangUp(Exception):
    """Close the connection; `last_words` are sent first, raw."""

    def __init__(self, last_words: bytes = b"") -> None:
        super().__init__("a fault was asked for")
        self.last_words = last_words


class MailSend:
    """The endpoint, with the faults that were asked for."""

    def __init__(self, store: Store, faults: Faults, webhooks: Webhooks) -> None:
        self._store = store
        self._faults = faults
        self._webhooks = webhooks

    def post(self, body: bytes) -> Reply:
        """Answer one request; raises RefusedRequest or HangUp."""
        early = self._faults.strike("drop_before_accept")
        if early is not None:
            raise HangUp
        struck = self._faults.strike("status")
        if struck is not None and not struck.after_accept:
            return _fault_reply(struck)
        payload = json_object(body)
        mail_checks.check(payload, now_s=now().timestamp())
        if _is_sandbox(payload):
            return Reply(200)
        message_id = secrets.token_urlsafe(16)
        self._accept(payload, message_id)
        if struck is not None:
            return _fault_reply(struck)
        if self._faults.strike("drop_after_accept"):
            raise HangUp
        if self._faults.strike("nonsense"):
            raise HangUp(b"\x00\xffI am no HTTP\r\n\r\n")
        return Reply(202, b"", {"X-Message-Id": message_id})

    def _accept(self, payload: dict[str, object], message_id: str) -> None:
        events: list[Event] = []
        for mail in mails_of(payload, message_id):
            self._store.add(mail)
            reason = self._store.dropped_for(mail.to)
            made = (
                [event_of(mail, "dropped", {"reason": reason})]
                if reason
                else [event_of(mail, "processed"), event_of(mail, "delivered")]
            )
            for event in made:
                self._store.note_event(mail, event)
            events += made
        self._webhooks.add(events)


def mails_of(payload: dict[str, object], message_id: str) -> list[Mail]:
    """Return one mail a recipient of a checked payload."""
    people = cast("list[dict[str, object]]", payload["personalizations"])
    recipients = [
        (person, entry)
        for person in people
        for kind in ("to", "cc", "bcc")
        for entry in cast("list[dict[str, str]]", person.get(kind) or [])
    ]
    bodies = {
        str(content["type"]): str(content["value"])
        for content in cast("list[dict[str, str]]", payload.get("content") or [])
    }
    received_at = now().isoformat()
    mails = []
    for index, (person, entry) in enumerate(recipients):
        sender = cast("dict[str, str]", person.get("from") or payload["from"])
        mails.append(
            Mail(
                id=message_id if index == 0 else f"{message_id}-{index}",
                to=entry["email"],
                to_name=entry.get("name", ""),
                from_=sender["email"],
                from_name=sender.get("name", ""),
                subject=str(person.get("subject") or payload.get("subject") or ""),
                html=bodies.get("text/html", ""),
                text=bodies.get("text/plain", ""),
                headers=_both(payload, person, "headers"),
                categories=cast("list[str]", payload.get("categories") or []),
                custom_args=_both(payload, person, "custom_args"),
                received_at=received_at,
                payload=payload,
            )
        )
    return mails


def _both(
    payload: dict[str, object], person: dict[str, object], name: str
) -> dict[str, str]:
    whole = cast("dict[str, str]", payload.get(name) or {})
    return whole | cast("dict[str, str]", person.get(name) or {})


def _is_sandbox(payload: dict[str, object]) -> bool:
    settings = cast("dict[str, dict[str, object]]", payload.get("mail_settings") or {})
    return settings.get("sandbox_mode", {}).get("enable") is True


def _fault_reply(fault: Fault) -> Reply:
    refused = RefusedRequest(fault.status, f"a fault was asked for: {fault.status}")
    reply = as_json({"errors": refused.errors}, status=fault.status)
    headers = dict(reply.headers)
    if fault.retry_after is not None:
        headers["Retry-After"] = str(fault.retry_after)
    return Reply(fault.status, reply.body, headers)
