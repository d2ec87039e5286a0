"""Readers for settings: each refuses a bad value by the setting's name."""

import ipaddress
import os
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

SHORTEST_SECRET: Final = 50
LARGEST_SECRET_BYTES: Final = 64 * 2**10


class Literally(environ.Env):  # type: ignore[misc]  # environ has no types
    """Values as they are.

    environ takes one that begins with $ for the name of another variable, which is
    mostly not set: a secret of that look would silently count as none.
    """

    def get_value(
        self,
        var: str,
        cast: Any = None,
        default: Any = environ.Env.NOTSET,
        parse_default: bool = False,  # noqa: FBT001, FBT002 - as environ has it
    ) -> Any:
        """Return the variable's value, or the default."""
        given = self.ENVIRON.get(var, "")
        if given.startswith("$"):
            return self.parse_value(given, cast)
        return super().get_value(var, cast, default, parse_default)


def bounded(value: int, *, name: str, low: int, high: int) -> int:
    """Return value if it lies in [low, high].

    Raises ImproperlyConfigured, naming the setting and its limits.
    """
    if not low <= value <= high:
        raise ImproperlyConfigured(
            f"{name} is {value}; it must be from {low} to {high}."
        )
    return value


def integer(env: environ.Env, name: str, default: int, *, low: int, high: int) -> int:
    """Read a whole number within its limits."""
    try:
        value = env.int(name, default=default)
    except ValueError:
        raise ImproperlyConfigured(
            f"{name} is {os.environ[name]!r}; it must be a whole number "
            f"from {low} to {high}."
        ) from None
    return bounded(value, name=name, low=low, high=high)


def boolean(env: environ.Env, name: str, *, default: bool) -> bool:
    """Read yes or no; anything else is refused rather than taken as no."""
    text = env.str(name, default="yes" if default else "no").strip().lower()
    if text in {"1", "yes", "true", "on"}:
        return True
    if text in {"0", "no", "false", "off", ""}:
        return False
    raise ImproperlyConfigured(f"{name} is {text!r}; it must be yes or no.")


def choice(env: environ.Env, name: str, allowed: tuple[str, ...]) -> str:
    """Read one of the allowed words; the first is the default."""
    value = env.str(name, default=allowed[0])
    if value not in allowed:
        raise ImproperlyConfigured(
            f"{name} is {value!r}; it must be one of: {', '.join(allowed)}."
        )
    return str(value)


def base_url(env: environ.Env, name: str, default: str) -> str:
    """Read an http or https address without path, query or trailing slash."""
    value = str(env.str(name, default=default)).rstrip("/")
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ImproperlyConfigured(
            f"{name} is {value!r}; it must look like https://mail.example.com."
        )
    if parts.path or parts.query or parts.fragment or parts.username:
        raise ImproperlyConfigured(
            f"{name} is {value!r}; it must be scheme and host (and port) only."
        )
    return value


def with_files(environment: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """Return the variables, those of `names` read from the file that NAME_FILE names.

    So a secret can be a file of systemd's or of a container's, and is in no
    process's environment. Raises ImproperlyConfigured, which names the file and
    never what is in it.
    """
    found = dict(environment)
    for name in names:
        path = found.get(f"{name}_FILE", "")
        if not path:
            continue
        if found.get(name):
            raise ImproperlyConfigured(
                f"Both {name} and {name}_FILE are set; leave one of them out."
            )
        found[name] = _content(f"{name}_FILE", Path(path))
    return found


def _content(name: str, path: Path) -> str:
    try:
        with path.open("rb") as file:
            value = file.read(LARGEST_SECRET_BYTES + 1).decode().strip()
    except OSError as error:
        raise ImproperlyConfigured(
            f"{name} names {path}, which cannot be read: {error.strerror}."
        ) from None
    except UnicodeDecodeError:
        raise ImproperlyConfigured(
            f"{name} names {path}, which is not a text file in UTF-8."
        ) from None
    if not value:
        raise ImproperlyConfigured(f"{name} names {path}, which is empty.")
    if len(value) > LARGEST_SECRET_BYTES:
        raise ImproperlyConfigured(
            f"{name} names {path}, which is larger than any secret."
        )
    return value


def secret(
    env: environ.Env, name: str, *, keep_in: Path | None, writes: bool = True
) -> str:
    """Read a secret; without one, keep a generated one in a file of this machine.

    keep_in None means production: the secret must be given. What only looks does not
    write, and gets one that nobody else has if none is kept.
    """
    value = str(env.str(name, default=""))
    if not value and keep_in is not None:
        value = _kept(keep_in) if writes or keep_in.exists() else _made()
    if not value:
        raise ImproperlyConfigured(
            f"{name} is not set. With DATABASE_URL it must be given: for instance "
            'the output of python -c "import secrets; print(secrets.token_urlsafe(64))".'
        )
    if len(value) < SHORTEST_SECRET:
        raise ImproperlyConfigured(
            f"{name} has {len(value)} characters; it needs {SHORTEST_SECRET} or more."
        )
    return value


def token(env: environ.Env, name: str) -> str:
    """Read what goes into a header of HTTP; "" if unset. Line ends around it go."""
    value = str(env.str(name, default="")).strip("\r\n")
    if not all("!" <= character <= "~" for character in value):
        raise ImproperlyConfigured(
            f"{name} holds blanks, or characters beyond ASCII; a key has none. Was it "
            "copied with something around it?"
        )
    return value


def networks(
    env: environ.Env, name: str
) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    """Read comma-separated networks, such as 10.0.0.0/8 or one address; none if unset."""
    words = [w.strip() for w in env.str(name, default="").split(",") if w.strip()]
    try:
        return tuple(ipaddress.ip_network(word) for word in words)
    except ValueError as error:
        raise ImproperlyConfigured(
            f"{name} must list networks like 10.0.0.0/8,::1: {error}."
        ) from None


def keys(env: environ.Env, name: str) -> tuple[str, ...]:
    """Read a comma-separated list of secrets, newest first; empty if unset."""
    values = tuple(v.strip() for v in env.str(name, default="").split(",") if v.strip())
    if any(len(v) < 32 for v in values):
        raise ImproperlyConfigured(f"Each key in {name} needs 32 or more characters.")
    return values


def _made() -> str:
    return secrets.token_urlsafe(64)


def _kept(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        # Written aside and linked, so that two starting processes agree on one.
        aside = path.with_name(f"{path.name}.{os.getpid()}")
        aside.touch(mode=0o600)
        aside.write_text(_made())
        try:
            path.hardlink_to(aside)
        except FileExistsError:
            pass  # another process was first; its secret counts
        finally:
            aside.unlink()
    return path.read_text().strip()
