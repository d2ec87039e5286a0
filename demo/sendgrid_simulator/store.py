"""The mails and suppressions of the simulator: in memory, and appended to a file.

All mails are in the file, and all hand-overs are counted; of the mails only the
newest are in memory too.
"""

import json
import re
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

LISTS: Final = ("global", "bounces", "blocks", "spam_reports", "invalid_emails")
# Why a mail to an address on the list is dropped, in SendGrid's words. Blocks
# are remembered, but do not stop later mail.
DROPS: Final = {
    "global": "Unsubscribed Address",
    "bounces": "Bounced Address",
    "spam_reports": "Spam Reporting Address",
    "invalid_emails": "Invalid",
}
MESSAGE_ARG: Final = "et_message"
KEPT_MAILS: Final = 20_000  # in memory, so that a long run does not fill it
_LINK: Final = re.compile(r"<([^<>\s]+)>")


def now() -> datetime:
    """Return the time; the simulator lives in real time only."""
    return datetime.now(tz=UTC)  # noqa: TID251 - the clock of this program


@dataclass(slots=True, kw_only=True)
class Mail:
    """One accepted mail for one recipient. `received_at` is ISO 8601, UTC."""

    id: str
    to: str
    to_name: str = ""
    from_: str
    from_name: str = ""
    subject: str
    html: str = ""
    text: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    categories: list[str] = field(default_factory=list)
    custom_args: dict[str, str] = field(default_factory=dict)
    received_at: str
    payload: dict[str, object] = field(default_factory=dict)
    events: list[dict[str, object]] = field(default_factory=list)

    def shown(self) -> dict[str, object]:
        """Return the mail for programs."""
        names = (
            "id to to_name from_name subject html text headers categories"
            " custom_args received_at events"
        )
        return {"from": self.from_} | {n: getattr(self, n) for n in names.split()}

    def has(self, event: str) -> bool:
        """Whether the event of this name was made for the mail."""
        return any(made["event"] == event for made in self.events)

    def unsubscribe_url(self) -> str | None:
        """Return the https or http address of List-Unsubscribe."""
        for name, value in self.headers.items():
            if name.lower() == "list-unsubscribe":
                links = [u for u in _LINK.findall(value) if u.startswith("http")]
                return links[0] if links else None
        return None


class DataFolderInvalid(ValueError):
    """The data folder cannot be read; the message says which line and what to do."""


class Store:
    """Everything that the simulator remembers. Safe among threads."""

    def __init__(self, folder: Path | None) -> None:
        self._lock = threading.RLock()
        self._mails: dict[str, Mail] = {}
        self._handed: Counter[str] = Counter()
        self._lists: dict[str, dict[str, dict[str, object]]] = {n: {} for n in LISTS}
        self._file = None if folder is None else folder / "simulator.jsonl"
        if self._file is not None and self._file.exists():
            self._load(self._file)

    def add(self, mail: Mail) -> None:
        """Keep an accepted mail; it is in the file when this returns."""
        with self._lock:
            self._append({"mail": asdict(mail)})
            self._take(mail)

    def mails(self, *, to: str = "", search: str = "", limit: int = 100) -> list[Mail]:
        """Return mails, newest first; `search` looks at people and subject."""
        wanted, words = to.strip().lower(), search.strip().lower()
        found: list[Mail] = []
        with self._lock:
            for mail in reversed(self._mails.values()):
                seen = f"{mail.to} {mail.to_name} {mail.from_} {mail.from_name} {mail.subject}"
                if wanted in ("", mail.to.lower()) and words in seen.lower():
                    found.append(mail)
                if len(found) >= limit:
                    break
        return found

    def get(self, mail_id: str) -> Mail | None:
        """Return one mail."""
        with self._lock:
            return self._mails.get(mail_id)

    def count(self) -> int:
        """Return how many mails there are."""
        with self._lock:
            return len(self._mails)

    def clear(self) -> None:
        """Forget the mails and their counts; suppressions stay."""
        with self._lock:
            self._append({"clear": True})
            self._mails.clear()
            self._handed.clear()

    def note_event(self, mail: Mail, event: dict[str, object]) -> None:
        """Remember that the event was made for the mail."""
        with self._lock:
            mail.events.append(event)
            self._append({"event": event, "of": mail.id})

    def handovers(self) -> list[dict[str, object]]:
        """Return how often each message was accepted, most often first.

        A message is known by its custom argument `et_message`, which stays the
        same when it is handed over again; else by all its custom arguments.
        """
        with self._lock:
            return [
                {"message": key, "count": count}
                for key, count in self._handed.most_common()
            ]

    def suppress(self, name: str, email: str, *, reason: str = "") -> None:
        """Put an address on a list; the first reason stays."""
        entry = {"email": email, "created": int(now().timestamp()), "reason": reason}
        with self._lock:
            if self._lists[name].setdefault(email.lower(), entry) is entry:
                self._append({"suppress": entry, "on": name})

    def lift(self, name: str, email: str) -> bool:
        """Take an address off a list; False if it was not there."""
        with self._lock:
            if self._lists[name].pop(email.lower(), None) is None:
                return False
            self._append({"lift": email, "on": name})
            return True

    def listed(self, name: str, email: str | None = None) -> list[dict[str, object]]:
        """Return a list's entries, or only the one of `email`."""
        with self._lock:
            if email is None:
                return list(self._lists[name].values())
            found = self._lists[name].get(email.lower())
            return [found] if found else []

    def dropped_for(self, email: str) -> str | None:
        """Return SendGrid's reason to drop mail to this address, or None."""
        with self._lock:
            for name, reason in DROPS.items():
                if email.lower() in self._lists[name]:
                    return reason
        return None

    def _take(self, mail: Mail) -> None:
        self._mails[mail.id] = mail
        if len(self._mails) > KEPT_MAILS:
            del self._mails[next(iter(self._mails))]
        args = mail.custom_args
        self._handed[args.get(MESSAGE_ARG) or json.dumps(args, sort_keys=True)] += 1

    def _append(self, entry: Mapping[str, object]) -> None:
        if self._file is not None:
            with self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")

    def _load(self, path: Path) -> None:
        lines = path.read_text("utf-8").split("\n")
        for number, line in enumerate(lines[:-1], start=1):
            try:
                self._replay(json.loads(line))
            except (ValueError, TypeError, KeyError) as error:
                what = f"{path}, line {number}, is not the simulator's own"
                raise DataFolderInvalid(f"{what}; move the file away") from error
        if lines[-1]:
            # A crash cut the last line: what it told was never answered for.
            path.write_text("\n".join([*lines[:-1], ""]), "utf-8")

    def _replay(self, entry: dict[str, object]) -> None:
        match entry:
            case {"mail": dict(mail)}:
                self._take(Mail(**mail))
            case {"event": dict(event), "of": str(mail_id)} if mail_id in self._mails:
                self._mails[mail_id].events.append(event)
            case {"clear": True}:
                self._mails.clear()
                self._handed.clear()
            case {"suppress": dict(found), "on": str(name)}:
                self._lists[name][str(found["email"]).lower()] = found
            case {"lift": str(email), "on": str(name)}:
                self._lists[name].pop(email.lower(), None)
            case _:
                return  # an event of a mail that is gone
