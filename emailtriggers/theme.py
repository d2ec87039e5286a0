"""How Unfold shows the admin: its title and the sidebar's sections."""

from collections.abc import Callable
from typing import Any, Final

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy


def _may(codename: str) -> Callable[[HttpRequest], bool]:
    def permitted(request: HttpRequest) -> bool:
        user: Any = request.user
        return bool(user.has_perm(f"campaigns.{codename}"))

    return permitted


def _icon(_request: HttpRequest) -> str:
    return static("campaigns/favicon.svg")


def _item(title: str, icon: str, model: str) -> dict[str, object]:
    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(f"admin:campaigns_{model}_changelist"),
        "permission": _may(f"view_{model}"),
    }


def _section(title: str, *items: dict[str, object]) -> dict[str, object]:
    return {"title": title, "separator": True, "items": list(items)}


_USERS: Final = {
    "title": "Users",
    "icon": "badge",
    "link": reverse_lazy("admin:auth_user_changelist"),
    "permission": lambda request: request.user.has_perm("auth.view_user"),
}
_GROUPS: Final = {
    "title": "Groups",
    "icon": "groups",
    "link": reverse_lazy("admin:auth_group_changelist"),
    "permission": lambda request: request.user.has_perm("auth.view_group"),
}
_HOME: Final = {
    "title": "Overview",
    "icon": "dashboard",
    "link": reverse_lazy("admin:index"),
}

UNFOLD: Final = {
    "SITE_TITLE": "emailtriggers",
    "SITE_HEADER": "emailtriggers",
    "SITE_SYMBOL": "outgoing_mail",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": _icon}],
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_BACK_BUTTON": True,
    "SIDEBAR": {
        "show_search": True,
        "navigation": [
            {"items": [_HOME]},
            _section(
                "Write",
                _item("Rules", "account_tree", "rule"),
                _item("Templates", "draft", "template"),
                _item("Topics", "label", "topic"),
            ),
            _section(
                "See",
                _item("Customers", "person", "customer"),
                _item("Events", "bolt", "event"),
                _item("Journeys", "route", "journey"),
                _item("Messages", "mail", "message"),
            ),
            _section(
                "Protect",
                _item("Suppressions", "block", "suppression"),
                _item("Rejected events", "report", "rejectedevent"),
                _item("Refused requests", "no_accounts", "refusedcount"),
            ),
            _section(
                "Set up",
                _item("Company", "apartment", "company"),
                _item("Senders", "alternate_email", "sender"),
                _item("Sources", "input", "source"),
                _item("Providers", "cloud_upload", "provider"),
                _item("Webhooks", "webhook", "webhookendpoint"),
                _item("Webhook batches", "inbox", "webhookbatch"),
                _item("Clusters", "monitor_heart", "clusterbeat"),
            ),
            _section("People of this admin", _USERS, _GROUPS),
        ],
    },
}
