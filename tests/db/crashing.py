"""Kill the work at a line: what a process leaves behind when it ends there."""

from contextlib import contextmanager

from django.db import connection


class Crash(BaseException):
    """No handler of ours may catch it, as none catches kill -9."""


@contextmanager
def killed(monkeypatch, module, name, *, when, ordinal=1):
    """Let the work end before or after the `ordinal`-th call of a function."""
    original = getattr(module, name)
    calls = 0

    def through(*args, **kwargs):
        nonlocal calls
        calls += 1
        if when == "before" and calls == ordinal:
            raise Crash
        result = original(*args, **kwargs)
        if when == "after" and calls == ordinal:
            raise Crash
        return result

    with monkeypatch.context() as patch:
        patch.setattr(module, name, through)
        try:
            yield
        except Crash:
            return
        raise AssertionError(f"{name} was never called")


def let_leases_end():
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE campaigns_message SET"
            " lease_until = clock_timestamp() - interval '1 second'"
            " WHERE lease_until IS NOT NULL"
        )


def let_backoff_end():
    """Bring every queued mail to now, and the provider back to health."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE campaigns_message SET not_before = clock_timestamp()"
            " WHERE not_before > clock_timestamp()"
        )
