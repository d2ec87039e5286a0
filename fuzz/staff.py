"""What somebody signed in asks of the admin: lists, previews, forms filled in oddly."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Final
from urllib.parse import quote

from fuzz import filling
from fuzz.filling import MOMENTS, WORDS
from fuzz.forms import (
    MULTIPART,
    URLENCODED,
    Pair,
    multipart,
    read_form,
    urlencoded,
)
from fuzz.heads import Kind, Request, head
from fuzz.values import garbled

ADMIN: Final = "/admin/campaigns"
MODELS: Final = (
    "clusterbeat", "company", "customer", "event", "journey", "message", "provider",
    "rejectedevent", "rule", "sender", "source", "step", "suppression", "template", "topic",
    "webhookbatch", "webhookendpoint", "nothing",
)  # fmt: skip
PAGED: Final = (
    "customer", "event", "journey", "message", "rejectedevent", "suppression", "webhookbatch",
)  # fmt: skip
ADDED: Final = ("topic", "sender", "provider", "source")
SOUND_FILTERS: Final = {
    "rule": ("status__exact", "kind__exact"), "message": ("state__exact", "kind__exact"),
    "journey": ("state__exact",), "rejectedevent": ("source__id__exact",),
    "suppression": ("reason__exact", "scope__exact"),
}  # fmt: skip
FILTERS: Final = (
    "id__in", "id", "pk__gt", "name__regex", "customer__email", "trigger_events__0",
    "current__document__has_key", "e", "o", "p", "all", "_popup", "_to_field",
    "_changelist_filters", "is_facets", "\x00",
)  # fmt: skip
CHOSEN: Final = (
    "active", "paused", "marketing", "sent", "held", "open", "finished", "manual", "global", "1",
)  # fmt: skip
VERBS: Final = ("release", "discard", "redrive", "give-up", "x")
MOST_ID: Final = 60
MOST_STEP: Final = 40
MENDED: Final = 0.25  # of forms are filled in soundly, before odd changes
PUBLISHED: Final = 0.25  # of those: each version ever published is kept by each process


@dataclass(frozen=True, slots=True, kw_only=True)
class Staff:
    """A session, and the rows that may be changed at will: no mail hangs on them."""

    session: str
    token: str
    rules: list[int]
    templates: list[int]


Act = Callable[[Staff, Random], Request]


def request(staff: Staff, rng: Random) -> Request:
    """Return one request of somebody signed in."""
    (act,) = rng.choices(list(ACTS), list(ACTS.values()))
    return act(staff, rng)


def get(staff: Staff, path: str, *cookies: str) -> bytes:
    """Return a question to the admin."""
    said = "; ".join([_cookies(staff), *cookies])
    return head("GET", path, b"", ("Cookie", said))


def post(staff: Staff, path: str, pairs: list[Pair]) -> bytes:
    """Return a form as it is posted to the admin."""
    body = urlencoded([("csrfmiddlewaretoken", staff.token), *pairs])
    return head("POST", path, body, *_form_heads(staff, URLENCODED))


def _cookies(staff: Staff) -> str:
    return f"sessionid={staff.session}; csrftoken={staff.token}"


def _form_heads(staff: Staff, kind: str) -> tuple[tuple[str, str], ...]:
    return ("Cookie", _cookies(staff)), ("Content-Type", kind)


# --- questions ----------------------------------------------------------------------


def _list(staff: Staff, rng: Random) -> Request:
    """Return a list with odd searches, filters and pages."""
    model = rng.choice(MODELS)
    query: list[Pair] = [
        (name, rng.choice((rng.choice(CHOSEN), filling.text(rng))))
        for name in SOUND_FILTERS.get(model, ())
        if rng.random() < 0.5
    ]
    if rng.random() < 0.2:
        query.append((rng.choice(FILTERS), filling.text(rng)))
    if rng.random() < 0.5:
        query.append(("q", filling.text(rng)))
    if model in PAGED and rng.random() < 0.4:
        key = f"{rng.choice(MOMENTS)}_{rng.choice((filling.text(rng), '1', '50'))}"
        query.append((rng.choice(("older_than", "newer_than")), key))
    path = f"{ADMIN}/{model}/"
    if rng.random() < 0.05:
        path = rng.choice(("/admin/", "/admin/auth/user/", "/admin/auth/group/"))
    return _asked(staff, rng, path, query)


def _page(staff: Staff, rng: Random) -> Request:
    """Return the page of a row that may be there."""
    model, what = rng.choice(MODELS), rng.choice(("change", "change", "history", "x"))
    query: list[Pair] = []
    if rng.random() < 0.3:
        query.append(("before", rng.choice(MOMENTS)))
    return _asked(staff, rng, f"{ADMIN}/{model}/{_id(rng)}/{what}/", query)


def _stored_preview(staff: Staff, rng: Random) -> Request:
    """Return a stored template's preview, or a mail's frame."""
    if rng.random() < 0.2:
        return _asked(staff, rng, f"{ADMIN}/message/{_id(rng)}/mail/", [])
    key = rng.choice(staff.templates) if rng.random() < 0.8 else _id(rng)
    return _asked(staff, rng, f"{ADMIN}/template/{key}/preview/", [])


def _asked(staff: Staff, rng: Random, path: str, query: list[Pair]) -> Request:
    zone = [f"et_zone={_quoted(filling.text(rng)[:80])}"] if rng.random() < 0.1 else []
    asked = (
        f"?{urlencoded(query, errors=filling.errors(rng)).decode()}" if query else ""
    )
    return Request(Kind.STAFF, get(staff, f"{path}{asked}"[:16_000], *zone))


def _id(rng: Random) -> str:
    if rng.random() < 0.7:
        return str(1 + int(MOST_ID * rng.random() ** 3))
    return _quoted(filling.text(rng))[:6_000]


def _quoted(text: str) -> str:
    return quote(text.encode(errors="replace"), safe="")


# --- what is posted without a page before it ------------------------------------------


def _typed_preview(staff: Staff, rng: Random) -> Request:
    """Return a preview of what is being typed."""
    pairs: list[Pair] = [(part, filling.value(rng, part)) for part in WORDS]
    pairs.append(("sample", filling.value(rng, "sample")))
    return _posted(staff, rng, f"{ADMIN}/template/preview/", filling.mixed(rng, pairs))


def _button(staff: Staff, rng: Random) -> Request:
    """Return what a button does: moves of a rule, of mails, of webhooks and others."""
    key = _id(rng)
    own = rng.choice(staff.rules)
    # Others' rules keep running, so that a sound event still becomes a mail.
    moves = (f"rule/{own}/pause/go/", f"rule/{own}/resume/go/", f"rule/{own}/{key}/go/")
    path = rng.choice(
        (
            *moves,
            f"rule/9{key}/archive/go/",
            f"message/{key}/{rng.choice(VERBS)}/act/",
            f"webhookbatch/{key}/again/",
            f"suppression/{key}/lift/",
            f"provider/{key}/resume/",
            f"template/{key}/delete/",
            f"rule/{key}/delete/",
            f"clusterbeat/{key}/delete/",
        )
    )
    pairs: list[Pair] = [("why", filling.text(rng)), ("post", "yes")]
    return _posted(staff, rng, f"{ADMIN}/{path}", pairs)


def _suppression(staff: Staff, rng: Random) -> Request:
    """Return an address to be suppressed."""
    address = rng.choice((filling.text(rng), f"fz-{rng.randrange(999)}@example.com"))
    pairs: list[Pair] = [
        ("address", address),
        ("topic", rng.choice(("", filling.text(rng)))),
    ]
    pairs.append(("note", filling.text(rng)))
    return _posted(staff, rng, f"{ADMIN}/suppression/add/", pairs)


def _posted(staff: Staff, rng: Random, path: str, pairs: list[Pair]) -> Request:
    return Request(Kind.STAFF, _written(staff, rng, path, pairs))


def _written(staff: Staff, rng: Random, path: str, pairs: list[Pair]) -> bytes:
    """Return a form's POST, now and then as one with files, or without its token."""
    if rng.random() < 0.97:
        pairs = [("csrfmiddlewaretoken", staff.token), *pairs]
    if rng.random() < 0.1:
        body = multipart(pairs, errors=filling.errors(rng))
        if rng.random() < 0.2:
            body = garbled(rng, body)
        return head("POST", path, body, *_form_heads(staff, MULTIPART))
    body = urlencoded(pairs, errors=filling.errors(rng))
    return head("POST", path, body, *_form_heads(staff, URLENCODED))


# --- forms: their page is asked for, then filled in -------------------------------------


def _rule(staff: Staff, rng: Random) -> Request:
    path = f"{ADMIN}/rule/{rng.choice(staff.rules)}/change/"
    return _opened(staff, rng, path, "rule_form", "steps")


def _new_rule(staff: Staff, rng: Random) -> Request:
    return _opened(staff, rng, f"{ADMIN}/rule/add/", "rule_form", "steps")


def _step(staff: Staff, rng: Random) -> Request:
    # The samples' are among them: their drafts may change, and are never published.
    path = f"{ADMIN}/step/{1 + int(MOST_STEP * rng.random() ** 2)}/change/"
    return _opened(staff, rng, path, "step_form", "variants")


def _template(staff: Staff, rng: Random) -> Request:
    path = f"{ADMIN}/template/{rng.choice(staff.templates)}/change/"
    return _opened(staff, rng, path, "template_form", "")


def _new_template(staff: Staff, rng: Random) -> Request:
    return _opened(staff, rng, f"{ADMIN}/template/add/", "template_form", "")


def _other(staff: Staff, rng: Random) -> Request:
    """Return a new row of what rules name, or the company under another name."""
    if rng.random() < 0.2:
        return _opened(staff, rng, f"{ADMIN}/company/1/change/", "company_form", "")
    model = rng.choice(ADDED)
    return _opened(staff, rng, f"{ADMIN}/{model}/add/", f"{model}_form", "")


def _opened(staff: Staff, rng: Random, path: str, ident: str, prefix: str) -> Request:
    # Of its own, as the page comes when later requests are made already.
    later = Random(rng.getrandbits(64))
    fill = partial(_filled, staff, later, path, ident, prefix)
    return Request(Kind.STAFF, get(staff, path), fill=fill)


def _filled(
    staff: Staff, rng: Random, path: str, ident: str, prefix: str, page: bytes
) -> bytes:
    """Return the form of a page, oddly filled in."""
    form = read_form(page, ident)
    form.drop("csrfmiddlewaretoken")
    if "/company/" in path:
        form.put("name", filling.text(rng))  # its cap and zone could stop all mail
        return _written(staff, rng, path, form.pairs)
    publishes = False
    if "/add/" in path:
        filling.complete(rng, form)
    elif rng.random() < MENDED:
        filling.mend(form, prefix, staff.templates)
        publishes = rng.random() < PUBLISHED
    if prefix and not publishes:
        filling.rearrange(rng, form, prefix, staff.templates)
    for _ in range(rng.choice((0, 1, 1, 1, 2, 4))):
        filling.put_oddly(rng, form)
    save = rng.choice(("_save", "_save", "_continue", "_saveasnew"))
    form.put("_publish" if publishes else save, "1")
    return _written(staff, rng, path, filling.mixed(rng, form.pairs))


ACTS: Final[dict[Act, int]] = {
    _list: 28, _page: 12, _typed_preview: 18, _stored_preview: 5, _rule: 10, _new_rule: 2,
    _step: 6, _template: 8, _new_template: 2, _button: 6, _suppression: 1, _other: 2,
}  # fmt: skip
