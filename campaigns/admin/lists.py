"""Lists of tables with millions of rows: estimated counts, pages by key."""

from datetime import datetime
from typing import Any, Final

from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db import connection
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from campaigns.admin.base import is_id, moment
from campaigns.admin.details import DetailAdmin, looked

COUNTED: Final = 10_000
OLDER: Final = "older_than"
NEWER: Final = "newer_than"


def estimated_rows(table: str) -> int:
    """Return about how many rows a table has, its partitions together; 0 if unknown."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT COALESCE(sum(GREATEST(c.reltuples, 0)), 0)::bigint
            FROM pg_class c
            WHERE c.oid = to_regclass(%s)
               OR c.oid IN (SELECT inhrelid FROM pg_inherits
                            WHERE inhparent = to_regclass(%s))
            """,
            [table, table],
        )
        (rows,) = cursor.fetchone()
    return int(rows)


def counted(queryset: QuerySet[Any]) -> int:
    """Count exactly up to COUNTED, then give COUNTED + 1 for "more than that"."""
    return len(queryset.order_by().values_list("pk", flat=True)[: COUNTED + 1])


class DecoratedChangeList(ChangeList):
    """A list of which a whole page is given to the admin's `decorated` at once."""

    model_admin: Any

    def get_results(self, request: HttpRequest) -> None:
        """Read the page, and let its rows be completed together."""
        super().get_results(request)
        self.result_list = self.model_admin.decorated(list(self.result_list))


class KeysetChangeList(ChangeList):
    """A list by (time, id), newest first, without page numbers.

    `older_link` and `newer_link` are None at the ends; `total` is in words.
    """

    older_link: str | None = None
    newer_link: str | None = None
    model_admin: Any
    total = ""

    def get_filters_params(self, params: Any = None) -> dict[str, Any]:
        """Return the filters: all parameters but the page's."""
        found = super().get_filters_params(params)
        return {k: v for k, v in found.items() if k not in (OLDER, NEWER)}

    def get_ordering(self, request: HttpRequest, queryset: Any) -> list[Any]:
        """Return the one order that the pages go by."""
        return [f"-{self.model_admin.keyset_time}", "-pk"]

    def get_results(self, request: HttpRequest) -> None:
        """Read one page and whether there are others on either side."""
        older, newer = self._key(OLDER), self._key(NEWER)
        size = self.list_per_page
        if newer is not None:
            page = list(self._after(newer)[: size + 1])
            more_newer, more_older = len(page) > size, True
            page = page[:size][::-1]
        else:
            rows = self.queryset if older is None else self._before(older)
            page = list(rows[: size + 1])
            more_newer, more_older = older is not None, len(page) > size
            page = page[:size]
        self._link(page, newer=more_newer, older=more_older)
        self._count(request)
        self.result_list = self.model_admin.decorated(page)

    def _key(self, name: str) -> tuple[datetime, int] | None:
        at, _, pk = self.params.get(name, "").partition("_")
        found = moment(at)
        return (found, int(pk)) if found is not None and is_id(pk) else None

    def _before(self, key: tuple[datetime, int]) -> QuerySet[Any]:
        time = self.model_admin.keyset_time
        at, pk = key
        # The first term lets the index begin at the right place.
        where = Q(**{f"{time}__lte": at}) & (Q(**{f"{time}__lt": at}) | Q(pk__lt=pk))
        found: QuerySet[Any] = self.queryset.filter(where)
        return found

    def _after(self, key: tuple[datetime, int]) -> QuerySet[Any]:
        time = self.model_admin.keyset_time
        at, pk = key
        where = Q(**{f"{time}__gte": at}) & (Q(**{f"{time}__gt": at}) | Q(pk__gt=pk))
        found: QuerySet[Any] = self.queryset.filter(where).order_by(time, "pk")
        return found

    def _link(self, page: list[Any], *, newer: bool, older: bool) -> None:
        if not page:
            return

        def key(row: Any) -> str:
            return f"{getattr(row, self.model_admin.keyset_time).isoformat()}_{row.pk}"

        if older:
            self.older_link = self.get_query_string({OLDER: key(page[-1]), NEWER: None})
        if newer:
            self.newer_link = self.get_query_string({NEWER: key(page[0]), OLDER: None})

    def _count(self, request: HttpRequest) -> None:
        """Say how many there are: estimated if all of many, exact up to COUNTED."""
        self.result_count = 0
        if not self.query and not self.get_filters_params():
            self.result_count = estimated_rows(self.opts.db_table)
        if self.result_count > COUNTED:
            self.total = f"about {self.result_count:,}"
        else:
            self.result_count = counted(self.queryset)
            many = self.result_count > COUNTED
            self.total = f"{COUNTED:,}+" if many else f"{self.result_count:,}"
        noun = (
            self.opts.verbose_name
            if self.total == "1"
            else self.opts.verbose_name_plural
        )
        self.total = f"{self.total} {noun}"
        self.full_result_count = None
        self.show_full_result_count = False
        self.show_admin_actions = False
        self.can_show_all = self.multi_page = False
        self.paginator = Paginator([], self.list_per_page)


class BigListAdmin(DetailAdmin):
    """A read-only list of a big table. `keyset_time` must be indexed, with the id."""

    keyset_time = "created_at"
    sortable_by = ()
    change_list_template = "admin/campaigns/big_list.html"
    search_fields = ("id",)
    search_help_text = "An e-mail address or an id."

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """Show the list, and log who looked; not for whom, which may be an address."""
        shown = super().changelist_view(request, extra_context)
        looked(request, f"a list of {self.opts.verbose_name_plural}")
        return shown

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        """Return the list without page numbers."""
        return KeysetChangeList

    def decorated(self, page: list[Any]) -> list[Any]:
        """Return the page's rows with what their columns need, read for all at once."""
        return page

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Look the words up exactly, where an index can."""
        term = search_term.strip()
        return (queryset.filter(self.search(term)) if term else queryset), False

    def search(self, term: str) -> Q:
        """Return where a row fits the searched words; by default its id."""
        return Q(pk=int(term)) if is_id(term) else Q(pk__in=[])
