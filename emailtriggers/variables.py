"""The table of all settings, read out of settings.py: docs/settings.md is made here.

Names, defaults and limits are those of the code. What a variable does, and where it
matters, is said below; one without words, or words without a variable, is an error.
"""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SETTINGS: Final = Path(__file__).with_name("settings.py")
HEAD: Final = """\
# Settings

Every variable that the code reads. This page is made by `python manage.py settings_table --write` from `emailtriggers/settings.py`; a test compares them.

They are environment variables, or lines of `.env` beside `manage.py`. A bad value stops the start with a sentence that names it. `yes`/`no`, `1`/`0`, `true`/`false` and `on`/`off` are the same. All processes of an installation get the same values, but for those that are a host's own (`CLUSTER_HOST`, `VAR_DIR`, numbers of workers); the column *matters to* says which of them look at it.

**Secrets from files.** Those marked † may be in a file, which the same name with `_FILE` names: `SECRET_KEY_FILE=/run/secrets/secret_key`. Space around the value is dropped. Then it is in no process's environment and in no list of processes; to have both set is refused. An error names the file, never what is in it.

| variable | default | limits | what it does | matters to |
|---|---|---|---|---|
"""
WEB: Final = "web"
CLUSTERS: Final = "clusters"
BOTH: Final = "web, clusters"
RUN: Final = "`make run`"
ALL: Final = "all"


class Undescribed(Exception):
    """Code and words do not name the same variables."""


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable as settings.py reads it; default and limits in words for people."""

    name: str
    default: str
    limits: str


@dataclass(frozen=True, slots=True)
class Words:
    """What a variable does, who looks at it, and its default where code is no word."""

    what: str
    where: str
    default: str = ""
    limits: str = ""


WORDS: Final[Mapping[str, Words]] = {
    "DATABASE_URL": Words(
        "the database; a socket folder is written `%2Fvar%2Frun%2Fpostgresql`",
        ALL,
        "the embedded one",
        "postgresql://",
    ),
    "DATABASE_POOLED": Words(
        "`DATABASE_URL` leads to a pooler in transaction mode, such as PgBouncer: no "
        "statement is prepared by name, and nothing kept in a session "
        "([scale.md](scale.md#pgbouncer))",
        ALL,
    ),
    "TRUST_FAILOVER": Words(
        "a replica that takes over is believed to have all that was committed, which "
        "only synchronous replication guarantees; otherwise nothing is sent until "
        "`manage.py after_restore` has run",
        BOTH,
    ),
    "SECRET_KEY": Words(
        "needed with `DATABASE_URL`; sign-in sessions, and the keys below if they are "
        "unset",
        ALL,
        "made, and kept in `VAR_DIR`",
        "50 or more characters",
    ),
    "SECRET_KEY_FALLBACKS": Words(
        "earlier secrets that still verify sessions and unsubscribe links",
        BOTH,
        "none",
        "32 or more characters each, comma-separated",
    ),
    "ADDRESS_HASH_KEY": Words(
        "suppressions are found by addresses hashed with it, so it must stay. Before "
        "you change `SECRET_KEY`, run `python manage.py address_hash_key` with the old "
        "one and set this to what it prints; otherwise nothing starts, and /readyz "
        "says why",
        BOTH,
        "derived from `SECRET_KEY`",
        "32 or more characters",
    ),
    "UNSUBSCRIBE_KEYS": Words(
        "links in mails; the first signs, all are accepted, so keep old ones",
        BOTH,
        "derived from `SECRET_KEY` and its fallbacks",
        "32 or more characters each, comma-separated",
    ),
    "PUBLIC_URL": Words(
        "base of links in mails; https with a real key",
        BOTH,
        "`http://localhost:PORT`",
        "no path",
    ),
    "ALLOWED_HOSTS": Words(
        "further host names that the web process answers to; /healthz, /readyz and "
        "/metrics are answered to any",
        WEB,
        "host of `PUBLIC_URL`, localhost",
        "comma-separated",
    ),
    "TRUSTED_PROXIES": Words(
        "proxies of yours before the web process; the client's address is that many "
        "entries from the right of X-Forwarded-For, and X-Forwarded-Proto is believed; "
        "let nobody but them reach the port, for both are what they say",
        WEB,
    ),
    "SENDGRID_API_KEY": Words(
        "without it `make run` uses the simulator; with `DATABASE_URL`, web and "
        "clusters do not start without it, unless `SENDGRID_HOST` is set",
        "web, clusters, `make run`",
        "none",
    ),
    "SENDGRID_HOST": Words(
        "another address of the API", BOTH, "SendGrid, or the simulator", "no path"
    ),
    "VAR_DIR": Words(
        "locks, and on one machine also data, logs and generated secrets",
        "clusters, `make run`",
        "`var`",
    ),
    "EMBEDDED_PG_DIR": Words("the embedded database's data", ALL, "`VAR_DIR/postgres`"),
    "BIND": Words(
        "the address that web, simulator and `METRICS_PORT` listen on. For a proxy, a "
        "load balancer or Prometheus on another host: this host's address in your own "
        "network, or 0.0.0.0 behind a firewall",
        "web, clusters, `make run`",
    ),
    "PORT": Words("web", "web, `make run`"),
    "INBOX_PORT": Words("the simulator and its inbox", RUN),
    "WEB_WORKERS": Words("web processes", WEB, "a core each, at most 2"),
    "WEB_THREADS": Words("threads of each; each holds one database connection", WEB),
    "WEB_QUEUE": Words(
        "requests that may wait for a thread, in each; more are answered 503", WEB
    ),
    "WEB_CONNECTIONS": Words("connections that each holds, idle ones included", WEB),
    "WEB_HEADER_S": Words(
        "seconds for a request's head, and for an idle connection", WEB
    ),
    "WEB_BODY_S": Words("seconds for a request's body", WEB),
    "STATIC_ROOT": Words(
        "where `collectstatic` puts files; unset, the web process finds them itself",
        WEB,
        "none",
    ),
    "ADMIN_THEME": Words("the look of the admin", WEB),
    "CLUSTER_WORKERS": Words("processes that send", CLUSTERS),
    "CLUSTER_THREADS": Words(
        "calls to the provider at once, for each of them", CLUSTERS
    ),
    "CLUSTER_FEEDBACK_WORKERS": Words("processes that apply webhooks", CLUSTERS),
    "CLUSTER_HOST": Words(
        "must differ between hosts that share a database", CLUSTERS, "the host's name"
    ),
    "CLUSTER_STALE_S": Words(
        "seconds of silence after which a cluster is replaced", BOTH
    ),
    "POST_DEADLINE_S": Words("seconds of the longest call to the provider", CLUSTERS),
    "LEASE_S": Words(
        "seconds for which a claimed mail is its worker's; 10 or more above the "
        "deadline",
        CLUSTERS,
    ),
    "DEDUPE_DAYS": Words("days for which an event's id is remembered", CLUSTERS),
    "EVENT_RETENTION_MONTHS": Words("months for which events are kept", CLUSTERS),
    "WEBHOOK_MAX_AGE_HOURS": Words("older signed webhooks are refused as replays", WEB),
    "PUBLIC_RATE_PER_MINUTE": Words(
        "events from one address, and from one customer, with a public key; counted in "
        "each web worker, or with `CACHE_URL` for all together",
        WEB,
    ),
    "CACHE_URL": Words(
        "a Redis (or Valkey) or Memcached that all web workers share, such as "
        "`redis://cache:6379/1`. Only those rates are counted there",
        WEB,
        "none",
        "redis://, rediss:// or pymemcache://",
    ),
    "DEMO_SPEED": Words(
        "divides delays and time-outs of steps, for trying rules out; leave it at 1",
        BOTH,
    ),
    "METRICS_TOKEN": Words(
        "who sends it as `Authorization: Bearer …` may read /metrics", BOTH, "none"
    ),
    "METRICS_NETWORKS": Words(
        "who comes from one of these networks, and through no proxy (a request with "
        "X-Forwarded-For needs the token), may read /metrics; with neither, it "
        "answers 404",
        BOTH,
        "none",
        "such as 10.0.0.0/8,::1; comma-separated",
    ),
    "METRICS_PORT": Words(
        "where `manage.py cluster` serves the counts of its host (at `BIND`), on a "
        "host without a web process; 0: nowhere",
        CLUSTERS,
    ),
    "LOG_FORMAT": Words(
        "one line of JSON for each record, or lines for people; auto is plain at a "
        "terminal and for `make run`, else json",
        ALL,
        "auto",
        "auto, json, plain",
    ),
    "LOG_LEVEL": Words("what goes to standard error", ALL),
    "DEBUG": Words("Django's error pages; never in production", WEB),
    "PROCESS_NAME": Words(
        "the name of a process's connections in PostgreSQL; each command sets its own",
        ALL,
    ),
    "Q_CLUSTER_NAME": Words(
        "which cluster a process belongs to; their supervisor sets it",
        CLUSTERS,
        "none",
    ),
}


def variables(source: str) -> list[Variable]:
    """Return what settings.py reads through `env`, each once, in its order."""
    found: dict[str, Variable] = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and (name := _read(node)):
            found.setdefault(name, Variable(name, _default(node), _limits(node)))
    return list(found.values())


def secrets(source: str) -> frozenset[str]:
    """Return the names in SECRETS, which may be in files."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "SECRETS":
            return frozenset(ast.literal_eval(node.value))
    return frozenset()


def page(source: str, words: Mapping[str, Words] = WORDS) -> str:
    """Return docs/settings.md. Raises Undescribed."""
    found = {v.name: v for v in variables(source)}
    if odd := found.keys() ^ words.keys():
        raise Undescribed(
            f"emailtriggers/variables.py and settings.py do not agree on: "
            f"{', '.join(sorted(odd))}."
        )
    files = secrets(source)
    return HEAD + "".join(_rows(found, words, files))


def _rows(
    found: Mapping[str, Variable], words: Mapping[str, Words], files: frozenset[str]
) -> Iterator[str]:
    for name, said in words.items():
        known = found[name]
        mark = " †" if name in files else ""
        default = said.default or known.default
        limits = said.limits or known.limits
        yield f"| `{name}`{mark} | {default} | {limits} | {said.what} | {said.where} |\n"


def _read(call: ast.Call) -> str:
    """Return the variable that a call reads: env.str("X") or integer(env, "X")."""
    by_env = (
        isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) == "env"
    )
    arguments = call.args if by_env else call.args[1:]
    if not by_env and not (call.args and ast.unparse(call.args[0]) == "env"):
        return ""
    first = arguments[0] if arguments else None
    is_name = isinstance(first, ast.Constant) and isinstance(first.value, str)
    return str(first.value) if is_name and isinstance(first, ast.Constant) else ""


def _default(call: ast.Call) -> str:
    """Return the default as people write it; "" for what only words can say."""
    given = {k.arg: k.value for k in call.keywords}
    places = [a for a in call.args if ast.unparse(a) != "env"][1:]
    node = given.get("default") or (places[0] if places else None)
    if isinstance(node, ast.Tuple) and node.elts:  # a choice: the first is it
        node = node.elts[0]
    if not isinstance(node, ast.Constant):
        return ""
    if isinstance(node.value, bool):
        return "yes" if node.value else "no"
    return str(node.value)


def _limits(call: ast.Call) -> str:
    given = {k.arg: k.value for k in call.keywords}
    if {"low", "high"} <= given.keys():
        low, high = (_number(given[side]) for side in ("low", "high"))
        return f"{low} to {high}"
    choices = next((a for a in call.args if isinstance(a, ast.Tuple)), None)
    return ", ".join(map(str, ast.literal_eval(choices))) if choices else ""


def _number(node: ast.expr) -> int:
    """Return a number, which may be written as a product."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        return _number(node.left) * _number(node.right)
    return int(ast.literal_eval(node))
