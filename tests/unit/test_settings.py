"""Settings are read in a process of their own, as a start would."""

import json
import os
import socket
import subprocess
import sys
import venv
from ast import literal_eval
from contextlib import closing
from pathlib import Path

import django
import pytest

from emailtriggers import running
from emailtriggers.settings import SECRETS

ROOT = Path(__file__).parents[2]

READ = "from django.conf import settings; print(repr(settings.{name}))"
GOOD = {
    "DATABASE_URL": "postgresql://u:p@db.example.com/mail",
    "SECRET_KEY": "k" * 64,
}


def read(name, tmp_path, **environment):
    """Return (exit code, stdout, stderr) of reading one setting."""
    done = subprocess.run(
        [sys.executable, "-c", READ.format(name=name)],
        env={
            "PATH": os.environ["PATH"],
            "DJANGO_SETTINGS_MODULE": "emailtriggers.settings",
            "VAR_DIR": str(tmp_path / "var"),
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout.strip(), done.stderr


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"PORT": "0"}, "PORT is 0; it must be from 1 to 65535"),
        ({"PORT": "http"}, "PORT is 'http'; it must be a whole number"),
        ({"DEBUG": "maybe"}, "DEBUG is 'maybe'; it must be yes or no"),
        ({"DEMO_SPEED": "0"}, "DEMO_SPEED is 0"),
        ({"ADMIN_THEME": "pink"}, "ADMIN_THEME is 'pink'; it must be one of"),
        ({"PUBLIC_URL": "mail.example.com"}, "PUBLIC_URL is 'mail.example.com'"),
        ({"PUBLIC_URL": "https://x.example/path"}, "scheme and host"),
        ({"SENDGRID_API_KEY": "SG.x"}, "with a SENDGRID_API_KEY it must be https"),
        ({"SECRET_KEY": "short"}, "SECRET_KEY has 5 characters"),
        ({"CACHE_URL": "memory://x"}, "CACHE_URL must look like redis://host:6379/0"),
        ({"CACHE_URL": "redis:"}, "CACHE_URL must look like"),
        ({"UNSUBSCRIBE_KEYS": "a,b"}, "Each key in UNSUBSCRIBE_KEYS"),
        ({"DATABASE_URL": GOOD["DATABASE_URL"]}, "SECRET_KEY is not set"),
        (
            {"DATABASE_URL": "sqlite:///x.db", "SECRET_KEY": "k" * 64},
            "DATABASE_URL must name a PostgreSQL",
        ),
    ],
)
def test_a_bad_value_stops_the_start_by_its_name(environment, words, tmp_path):
    code, _, said = read("PORT", tmp_path, **environment)
    assert code == 1
    assert words in said.splitlines()[-1]


@pytest.mark.parametrize(
    ("url", "backend", "location"),
    [
        ("redis://:pw@r:6379/1", "RedisCache", "redis://:pw@r:6379/1"),
        ("rediss://r:6379", "RedisCache", "rediss://r:6379"),
        ("pymemcache://m:11211", "PyMemcacheCache", "m:11211"),
        ("pymemcache://a:1,b:2", "PyMemcacheCache", ["a:1", "b:2"]),
    ],
    ids=["redis", "tls", "memcached", "two-memcacheds"],
)
def test_the_shared_cache_is_what_its_url_says(url, backend, location, tmp_path):
    name = "CACHES['shared']['{}']"
    read_as = [
        read(name.format(part), tmp_path, CACHE_URL=url)[1]
        for part in ("BACKEND", "LOCATION")
    ]
    assert read_as[0].endswith(f".{backend}'")
    assert literal_eval(read_as[1]) == location


def test_without_a_url_each_process_has_a_cache_of_its_own(tmp_path):
    assert "shared" not in literal_eval(read("CACHES", tmp_path)[1])


def test_a_cache_that_cannot_be_used_is_refused_without_its_password(tmp_path):
    code, _, said = read("PORT", tmp_path, CACHE_URL="memcache://u:hunter2@m:11211")
    assert (code, "hunter2" in said) == (1, False)


def test_the_demo_generates_one_secret_and_keeps_it_to_itself(tmp_path):
    _, first, said = read("SECRET_KEY", tmp_path)
    assert len(first) > 50, said
    assert read("SECRET_KEY", tmp_path)[1] == first
    kept = tmp_path / "var" / "secret_key"
    assert kept.stat().st_mode & 0o777 == 0o600


def test_the_doctor_makes_no_secret(tmp_path):
    done = subprocess.run(
        [sys.executable, "manage.py", "doctor"],
        env={"PATH": os.environ["PATH"], "VAR_DIR": str(tmp_path / "var")},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "DATABASE_URL is not set; this looks at the embedded" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_keys_of_each_purpose_differ_from_the_secret_and_each_other(tmp_path):
    _, hashing, _ = read("ADDRESS_HASH_KEYS", tmp_path, **GOOD)
    _, unsubscribing, _ = read("UNSUBSCRIBE_KEYS", tmp_path, **GOOD)
    assert hashing != unsubscribing
    assert "kkk" not in hashing + unsubscribing


def test_links_derived_from_a_former_secret_still_work(tmp_path):
    _, before, _ = read("UNSUBSCRIBE_KEYS", tmp_path, **GOOD)
    rotated = {**GOOD, "SECRET_KEY": "n" * 64, "SECRET_KEY_FALLBACKS": "k" * 64}
    _, after, _ = read("UNSUBSCRIBE_KEYS", tmp_path, **rotated)
    (old,) = literal_eval(before)
    new, accepted = literal_eval(after)
    assert (accepted, new == old) == (old, False)


def test_keys_are_rotated_by_a_list_newest_first(tmp_path):
    new, old = "n" * 32, "o" * 32
    _, found, _ = read("ADDRESS_HASH_KEYS", tmp_path, ADDRESS_HASH_KEY=f"{new}, {old}")
    assert found == repr((new, old))


def test_production_over_https_gets_secure_cookies_and_the_real_sendgrid(tmp_path):
    live = {**GOOD, "PUBLIC_URL": "https://m.example.com", "SENDGRID_API_KEY": "SG.x"}
    assert read("SESSION_COOKIE_SECURE", tmp_path, **live)[1] == "True"
    assert read("SENDGRID_HOST", tmp_path, **live)[1] == "'https://api.sendgrid.com'"
    assert not (tmp_path / "var").exists()


def test_a_socket_folder_in_the_database_url_is_decoded(tmp_path):
    url = {**GOOD, "DATABASE_URL": "postgresql://u@%2Fvar%2Frun%2Fpostgresql/mail"}
    _, found, _ = read("DATABASES['default']['HOST']", tmp_path, **url)
    assert found == "'/var/run/postgresql'"


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("SECRET_KEY", "SECRET_KEY"),
        ("METRICS_TOKEN", "METRICS_TOKEN"),
        ("ADDRESS_HASH_KEY", "ADDRESS_HASH_KEYS[0]"),
        ("UNSUBSCRIBE_KEYS", "UNSUBSCRIBE_KEYS[0]"),
        ("SECRET_KEY_FALLBACKS", "SECRET_KEY_FALLBACKS[0]"),
        ("SENDGRID_API_KEY", "SENDGRID_API_KEY"),
    ],
)
def test_a_secret_that_begins_with_a_dollar_is_taken_as_it_is(name, setting, tmp_path):
    """environ would look for a variable of that name, and silently find none."""
    secret = "$" + "k" * 64
    base = {**GOOD, "PUBLIC_URL": "https://mail.example.com"}
    _, found, said = read(setting, tmp_path, **{**base, name: secret})
    assert found == repr(secret), said


@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["line", "windows"])
def test_a_providers_key_may_end_in_a_line_end(end, tmp_path):
    """A secret of Kubernetes made with echo has one."""
    live = {**GOOD, "PUBLIC_URL": "https://m.example.com"}
    found = read("SENDGRID_API_KEY", tmp_path, **live, SENDGRID_API_KEY=f"SG.x{end}")
    assert found[1] == "'SG.x'", found[2]


@pytest.mark.parametrize(
    "key", ["SG.never ", " SG.never", "SG.never\tx", "SG.never\nSG.x", "SG.n\u00e9ver"]
)
def test_a_providers_key_that_no_header_can_hold_is_refused_and_not_quoted(
    key, tmp_path
):
    live = {**GOOD, "PUBLIC_URL": "https://m.example.com"}
    code, _, said = read("PORT", tmp_path, **live, SENDGRID_API_KEY=key)
    last = said.splitlines()[-1]
    assert (code, "SENDGRID_API_KEY holds blanks, or characters" in last) == (1, True)
    assert key.strip() not in said


def test_the_plain_admin_needs_no_theme(tmp_path):
    _, found, _ = read("INSTALLED_APPS", tmp_path, ADMIN_THEME="plain")
    assert "unfold" not in found


def test_a_missing_package_is_one_sentence_that_says_what_to_do():
    done = subprocess.run(
        [sys.executable, "-S", "manage.py", "version"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    (sentence,) = done.stderr.strip().splitlines()
    assert "'django' is not installed" in sentence
    assert "make run" in sentence


def manage(*command, tmp_path, **environment):
    """Return (exit code, stderr) of a management command that should not start."""
    done = subprocess.run(
        [sys.executable, "manage.py", *command],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "VAR_DIR": str(tmp_path / "var"),
            # No address of this machine: whatever starts all the same ends at once.
            "BIND": "203.0.113.1",
            "METRICS_PORT": "9",
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("command", ["web", "cluster"])
def test_with_a_database_of_ones_own_the_providers_key_is_asked_for(command, tmp_path):
    """A host without it would hand its share of all mails to nobody."""
    away = {**GOOD, "DATABASE_URL": "postgresql://u:p@127.0.0.1:1/mail"}
    code, said = manage(command, tmp_path=tmp_path, **away)
    assert (code, said.count("\n")) == (1, 1)
    assert "SENDGRID_API_KEY is not set" in said
    simulated = {**away, "SENDGRID_HOST": "http://127.0.0.1:9"}
    assert "SENDGRID_API_KEY" not in manage(command, tmp_path=tmp_path, **simulated)[1]
    europe = {**away, "SENDGRID_HOST": "https://api.eu.sendgrid.com"}  # no simulator
    assert "SENDGRID_API_KEY" in manage(command, tmp_path=tmp_path, **europe)[1]


TELL = """
import json, multiprocessing.spawn, os, subprocess, sys, django
child = "import sys, django; print(sys.prefix)"
print(json.dumps({
    "executable": sys.executable,
    "spawned": os.fsdecode(multiprocessing.spawn.get_executable()),
    "child": subprocess.check_output([sys.executable, "-c", child], text=True).strip(),
    "paths": sys.path,
}))
"""


def test_a_process_keeps_to_its_release_when_the_link_to_it_moves_on(tmp_path):
    """Else an old supervisor restarts its clusters with the next release's packages."""
    release = tmp_path.resolve() / "releases" / "one"
    venv.create(release / ".venv", symlinks=True)
    packages = Path(django.__file__).parents[1]
    (site,) = (release / ".venv").glob("lib/python*/site-packages")
    (site / "ours.pth").write_text(f"{packages}\n")
    current = tmp_path / "current"
    current.symlink_to(release)
    done = subprocess.run(
        [
            current / ".venv/bin/python",
            "manage.py",
            "shell",
            "--no-imports",
            "-c",
            TELL,
        ],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "VAR_DIR": str(tmp_path / "var"), **GOOD},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    python = str(release / ".venv" / "bin" / "python")
    assert (told["executable"], told["spawned"]) == (python, python)
    assert told["child"] == str(release / ".venv")
    assert not [path for path in told["paths"] if path.startswith(str(current))]


def test_a_web_port_that_another_program_has_is_named(tmp_path):
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        code, said = manage("web", tmp_path=tmp_path, BIND="127.0.0.1", PORT=str(port))
    assert code == 1
    assert f"Port {port} on 127.0.0.1 cannot be used: Address already in use" in said
    assert f"set PORT={port + 1}" in said
    assert said.count("\n") == 1


def test_a_second_web_process_of_ours_may_share_the_port(settings):
    """granian listens with SO_REUSEPORT, so that one can take over from another."""
    with closing(socket.socket()) as ours:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        ours.bind(("127.0.0.1", 0))
        ours.listen()
        settings.BIND, settings.PORT = ours.getsockname()
        running.check_web_port()
        with pytest.raises(running.PortTaken):
            running.check_port("PORT", settings.PORT)


# --- secrets from files -------------------------------------------------------

HUSH = "never-to-be-printed-" + "s" * 44


def given(tmp_path, content):
    """Return the path of a file with that content."""
    path = tmp_path / "given"
    path.write_bytes(content)
    return str(path)


@pytest.mark.parametrize("name", SECRETS)
def test_each_secret_may_be_in_a_file(name, tmp_path):
    value = {
        "DATABASE_URL": "postgresql://u:p@other.example.com/mail",
        "CACHE_URL": "redis://cache.example.com:6379/1",
        "UNSUBSCRIBE_KEYS": f"{HUSH},{'t' * 32}",
    }.get(name, HUSH)
    known = {
        "ADDRESS_HASH_KEY": "ADDRESS_HASH_KEYS",
        "CACHE_URL": "CACHES['shared']['LOCATION']",
    }.get(name, name)
    base = {**GOOD, "PUBLIC_URL": "https://mail.example.com"}
    base.pop(name, None)
    path = given(tmp_path, f"{value}\n".encode())
    by_name = read(known, tmp_path, **base, **{name: value})
    by_file = read(known, tmp_path, **base, **{f"{name}_FILE": path})
    assert by_file == by_name
    assert by_file[0] == 0, by_file[2]
    assert by_file[1] not in {"''", "()", "[]"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "which cannot be read: No such file"),
        (b"\n", "which is empty"),
        (b"\xff\xfe" + HUSH.encode(), "which is not a text file"),
        (HUSH.encode() * 2000, "which is larger than any secret"),
    ],
    ids=["missing", "empty", "no text", "large"],
)
def test_a_secrets_file_that_is_of_no_use_is_named_and_not_quoted(
    content, words, tmp_path
):
    path = given(tmp_path, content) if content else str(tmp_path / "given")
    if content is None:
        (tmp_path / "given").unlink(missing_ok=True)
    code, _, said = read("PORT", tmp_path, SECRET_KEY_FILE=path)
    assert code != 0
    assert f"SECRET_KEY_FILE names {path}, {words}" in said
    assert "never-to-be-printed" not in said


def test_a_secret_given_twice_is_refused(tmp_path):
    path = given(tmp_path, HUSH.encode())
    code, _, said = read(
        "PORT", tmp_path, SENDGRID_API_KEY="SG.x", SENDGRID_API_KEY_FILE=path
    )
    assert code != 0
    assert "Both SENDGRID_API_KEY and SENDGRID_API_KEY_FILE are set" in said


def test_a_secret_that_is_refused_is_not_quoted(tmp_path):
    url = b"postgresql://u:never/to-be:printed@db.example.com/mail"
    code, _, said = read(
        "PORT",
        tmp_path,
        SECRET_KEY="k" * 64,
        DATABASE_URL_FILE=given(tmp_path, url),
    )
    assert code != 0
    assert "DATABASE_URL" in said
    assert "to-be:printed" not in said
    assert "never" not in said
