"""What ops/ holds is read by the tools that it is for, and keeps its promises."""

import configparser
import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from django.core.management import get_commands

from emailtriggers import connecting
from emailtriggers.settings import SECRETS
from emailtriggers.variables import WORDS

ROOT = Path(__file__).parents[2]
OPS = ROOT / "ops"
UNITS = ("emailtriggers-web", "emailtriggers-cluster")
EXPOSURE = 20  # systemd's own figure, of 100; a unit without hardening has 96
FOLDERS = {"/opt/emailtriggers/current/.venv/bin/python": sys.executable}
HADOLINT = Path(sys.executable).with_name("hadolint")


def run(*command, **more):
    """Run a tool; return (exit code, what it said). Without the tool: a skip."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=60,
        **more,
    )
    return done.returncode, done.stdout


def is_variable(name):
    """Return whether the product reads a variable of that name, or a file for it."""
    base = name.removesuffix("_FILE")
    return name in WORDS or (name != base and base in SECRETS)


# --- the image -----------------------------------------------------------------

DOCKERFILE = (OPS / "Dockerfile").read_text()


def test_the_dockerfile_pleases_its_linter():
    assert run(str(HADOLINT), "--no-color", str(OPS / "Dockerfile")) == (0, "")


def test_the_image_runs_without_root_and_holds_no_secret():
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    assert re.findall(r"^USER (.*)$", last, re.MULTILINE) == ["10001"]
    assert "HEALTHCHECK" in last
    assert not re.search(r"^ARG ", DOCKERFILE, re.MULTILINE)
    kept = re.findall(r"^(?:ENV|    )\s*([A-Z_]+)=", last, re.MULTILINE)
    assert {"VAR_DIR", "STATIC_ROOT"} <= set(kept)
    assert not set(kept) & set(SECRETS)
    ours = {k for k in kept if not k.startswith(("PYTHON", "PATH"))}
    assert {k for k in ours if not is_variable(k)} == set()


def test_only_what_is_copied_goes_to_the_builder():
    first, *rest = [
        line
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert first == "*"
    allowed = {line[1:] for line in rest if line.startswith("!")}
    copied = set(re.findall(r"^COPY (?!--from)(\S+) ", DOCKERFILE, re.MULTILINE))
    assert allowed == copied
    assert "demo" not in allowed
    assert [name for name in allowed if not (ROOT / name).exists()] == []


def test_the_embedded_database_left_out_is_named_as_it_is_required():
    (left_out,) = re.findall(r"grep -v '(\^[^']+)'", DOCKERFILE)
    required = (ROOT / "requirements.txt").read_text()
    assert len(re.findall(left_out, required, re.MULTILINE)) == 1


# --- compose -------------------------------------------------------------------

COMPOSE = yaml.safe_load((OPS / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
OURS = ("migrate", "web", "cluster")


@pytest.mark.parametrize("name", OURS)
def test_each_process_of_ours_is_confined(name):
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert service["command"][0] in get_commands()
    assert int(service["stop_grace_period"].removesuffix("s")) >= 45


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_speaks_of_exists(name):
    service = SERVICES[name]
    assert set(service.get("secrets", ())) <= COMPOSE["secrets"].keys()
    assert set(service["networks"]) <= COMPOSE["networks"].keys()
    assert set(service.get("depends_on", ())) <= SERVICES.keys()
    named = [v.partition(":")[0] for v in service.get("volumes", ())]
    assert {v for v in named if v[0] != "."} <= COMPOSE["volumes"].keys()
    assert all((OPS / v).exists() for v in named if v[0] == ".")
    waited = [SERVICES[other] for other in service.get("depends_on", ())]
    assert all("healthcheck" in other or other["image"] in IMAGES for other in waited)


IMAGES = {SERVICES["web"]["image"]}  # has its own healthcheck


@pytest.mark.parametrize("name", SERVICES)
def test_secrets_are_files_and_never_words(name):
    service = SERVICES[name]
    environment = service.get("environment", {})
    assert not set(environment) & set(SECRETS)
    files = {k: v for k, v in environment.items() if k.endswith("_FILE")}
    given = {f"/run/secrets/{secret}" for secret in service.get("secrets", ())}
    assert set(files.values()) == given
    if name in OURS:
        assert {k for k in environment if not is_variable(k)} == set()


def test_secrets_can_be_read_by_whom_the_image_runs_as_and_git_leaves_them_out():
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    (user,) = re.findall(r"^USER (.*)$", last, re.MULTILINE)
    guide = (ROOT / "docs" / "operations.md").read_text()
    for told in ((OPS / "compose.yaml").read_text(), guide):
        assert f"chown {user} secrets/*" in told
    files = [OPS / secret["file"] for secret in COMPOSE["secrets"].values()]
    assert {file.parent.resolve() for file in files} == {ROOT / "secrets"}
    assert "/secrets/" in (ROOT / ".gitignore").read_text().splitlines()


def test_nothing_that_only_the_operator_knows_has_a_default():
    text = (OPS / "compose.yaml").read_text()
    asked = dict(re.findall(r"\$\{(\w+)(:[-?])", text))
    assert asked == {"EMAILTRIGGERS_VERSION": ":-", "PUBLIC_URL": ":?", "SITE": ":?"}
    for name in ("PUBLIC_URL", "SITE"):
        assert re.search(rf"^#.*{name}=", text, re.MULTILINE)
    assert ".env" in (ROOT / ".gitignore").read_text().splitlines()


def test_web_shows_what_the_clusters_count():
    (kept,) = re.findall(r"VAR_DIR=(\S+)", DOCKERFILE.rpartition("\nFROM ")[2])
    homes = {f"{name} {v}" for name in OURS for v in SERVICES[name]["volumes"]}
    assert homes == {f"{name} var:{kept}" for name in OURS}
    for name in OURS:
        assert "METRICS_TOKEN_FILE" in SERVICES[name]["environment"]


def test_metrics_are_read_past_the_proxy_which_shows_them_to_nobody():
    proxied = {"https", "443", "80", ""}
    job = yaml.safe_load((OPS / "prometheus/prometheus.yml").read_text())
    (job,) = job["scrape_configs"]
    (targets,) = job["static_configs"]
    agent = yaml.safe_load((OPS / "datadog/conf.yaml").read_text())
    asked = [f"{job['scheme']}://{target}" for target in targets["targets"]]
    asked += [i["openmetrics_endpoint"] for i in agent["instances"]]
    for address in map(urlsplit, asked):
        assert not {address.scheme, str(address.port or "")} & proxied, address


def test_only_the_proxy_is_to_be_reached_and_the_database_goes_nowhere():
    assert [n for n, s in SERVICES.items() if "ports" in s] == ["proxy"]
    assert SERVICES["database"]["networks"] == ["inside"]
    assert COMPOSE["networks"]["inside"] == {"internal": True}


def test_the_checks_see_what_is_wrong(monkeypatch):
    bad = {**SERVICES["web"], "environment": {"SECRET_KEY": "x"}, "read_only": False}
    monkeypatch.setitem(SERVICES, "web", bad)
    with pytest.raises(AssertionError):
        test_secrets_are_files_and_never_words("web")
    with pytest.raises(AssertionError):
        test_each_process_of_ours_is_confined("web")


# --- systemd, Procfile ----------------------------------------------------------


@pytest.fixture
def units(tmp_path):
    """The units as installed on this machine: the same, with an interpreter of ours."""
    for name in UNITS:
        text = (OPS / "systemd" / f"{name}.service").read_text()
        for there, here in FOLDERS.items():
            text = text.replace(there, here)
        (tmp_path / f"{name}.service").write_text(text)
    return tmp_path


@pytest.mark.parametrize("name", UNITS)
def test_systemd_reads_the_unit_without_a_complaint(units, name):
    code, said = run("systemd-analyze", "verify", str(units / f"{name}.service"))
    ours = [line for line in said.splitlines() if name in line]
    assert (code, ours) == (0, [])


def test_a_second_web_process_is_the_unit_with_another_port(units):
    guide = (ROOT / "docs" / "operations.md").read_text()
    (line,) = re.findall(r"^sed .*emailtriggers-web-b\.service$", guide, re.MULTILINE)
    assert run("bash", "-euc", line, cwd=units) == (0, "")
    unit = units / "emailtriggers-web-b.service"
    code, said = run("systemd-analyze", "verify", str(unit))
    assert (code, [line for line in said.splitlines() if unit.stem in line]) == (0, [])
    (words,) = re.findall(r"^ExecStart=(.*)$", unit.read_text(), re.MULTILINE)
    assert words.startswith(f"/usr/bin/env PORT=8001 {sys.executable} ")


def test_systemd_complains_of_what_is_wrong(units):
    unit = units / f"{UNITS[0]}.service"
    unit.write_text(unit.read_text().replace("KillMode=mixed", "KillMode=mxied"))
    _, said = run("systemd-analyze", "verify", str(unit))
    assert "mxied" in said


@pytest.mark.parametrize("name", UNITS)
def test_the_unit_is_confined_by_systemds_own_measure(units, name):
    code, said = run(
        "systemd-analyze", "security", "--offline=yes", "--no-pager",
        f"--threshold={EXPOSURE}", str(units / f"{name}.service"),
    )  # fmt: skip
    assert code == 0, said


@pytest.mark.parametrize("name", UNITS)
def test_the_unit_stops_the_main_process_alone_and_reads_secrets_from_files(name):
    text = (OPS / "systemd" / f"{name}.service").read_text()
    settings = [line.partition("=")[::2] for line in text.splitlines() if "=" in line]
    values = dict(settings)
    assert values["KillMode"] == "mixed"
    assert int(values["TimeoutStopSec"]) >= 45
    assert values["ExecStart"].split()[-1] in get_commands()
    given = [v.partition("=")[::2] for k, v in settings if k == "Environment"]
    ours = [(k, v) for k, v in given if not k.startswith("PYTHON")]
    assert [k for k, _ in ours if not is_variable(k)] == []
    loaded = {v.partition(":")[0] for k, v in settings if k == "LoadCredential"}
    files = {v.removeprefix("%d/") for k, v in ours if k.endswith("_FILE")}
    assert loaded == files
    assert not {k for k, _ in ours} & set(SECRETS)


TOOL = OPS / "systemd" / "manage"
SAY_ALL = '#!/bin/sh\nprintf "%s\\0" "$@"\nexit 7\n'


@pytest.fixture
def machine(tmp_path):
    """A PATH with a systemd that has our web unit, and tells what it is to run."""
    web = OPS / "systemd" / "emailtriggers-web.service"
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in {
        "systemctl": f'#!/bin/sh\n[ "$*" = "cat {web.name}" ] && cat {web}\n',
        "systemd-run": SAY_ALL,
    }.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return {"PATH": f"{folder}:/usr/bin:/bin"}


def told(machine, *words, **more):
    """Return what systemd is told (options, command) to run a command of ours."""
    done = subprocess.run(
        [TOOL, *words], env=machine, stdout=more.pop("stdout", subprocess.PIPE),
        stdin=more.pop("stdin", subprocess.DEVNULL), text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 7  # the command's own
    said = (done.stdout or "").split("\0")[:-1]
    place = said.index("--") if "--" in said else 0
    return said[:place], said[place + 1 :]


def test_a_command_gets_what_the_web_process_gets(machine):
    text = (OPS / "systemd" / "emailtriggers-web.service").read_text()
    options, command = told(machine, "create_source", "my shop's $5", "--kind=segment")
    (unit,) = [o.removeprefix("--unit=") for o in options if o.startswith("--unit=")]
    given = [o.removeprefix("--property=") for o in options if "--property=" in o]
    wanted = re.findall(
        r"^(?:LoadCredential|Environment|EnvironmentFile|User|Group|State\w+)=.*$",
        text,
        re.MULTILINE,
    )
    real = [
        line.replace("%d", f"/run/credentials/{unit}.service").replace("%S", "/var/lib")
        for line in wanted
    ]
    assert set(real) <= set(given)
    assert [line for line in given if "%" in line] == []
    assert {"--wait", "--collect", "--pipe"} <= set(options)
    (started,) = re.findall(r"^ExecStart=(.*) web$", text, re.MULTILINE)
    assert command == [
        *started.split(),
        "create_source",
        "my shop's $$5",
        "--kind=segment",
    ]


def test_systemd_knows_each_property_that_a_command_gets(machine, tmp_path):
    options, _ = told(machine, "doctor")
    given = [o.removeprefix("--property=") for o in options if "--property=" in o]
    unit = tmp_path / "emailtriggers-manage-1.service"
    unit.write_text(
        "\n".join(["[Service]", "Type=exec", "ExecStart=/bin/true", *given, ""])
    )
    code, said = run("systemd-analyze", "verify", str(unit))
    assert (code, [line for line in said.splitlines() if unit.stem in line]) == (0, [])


def test_at_a_terminal_a_command_may_ask(machine):
    ours, theirs = pty.openpty()
    told(machine, "createsuperuser", stdin=theirs, stdout=theirs)
    os.close(theirs)
    assert b"--pty\0" in os.read(ours, 10_000)
    os.close(ours)


def test_without_the_unit_no_command_runs(machine, tmp_path):
    (tmp_path / "bin" / "systemctl").write_text("#!/bin/sh\nexit 1\n")
    done = subprocess.run(
        [TOOL, "doctor"], env=machine, capture_output=True, text=True, check=False
    )
    assert (done.returncode, "not installed" in done.stderr) == (1, True)


def test_the_example_of_settings_starts_and_holds_no_secret(tmp_path):
    text = (OPS / "systemd" / "settings.env.example").read_text()
    lines = dict(re.findall(r"^#?([A-Z_]+)=(.*)$", text, re.MULTILINE))
    assert {"PUBLIC_URL", "TRUSTED_PROXIES", "BIND", "CLUSTER_HOST"} <= set(lines)
    assert {name for name in lines if not is_variable(name)} == set()
    assert not {name.removesuffix("_FILE") for name in lines} & set(SECRETS)
    done = subprocess.run(
        [sys.executable, "-c", "from django.conf import settings; settings.BIND"],
        env={
            **lines,
            "DJANGO_SETTINGS_MODULE": "emailtriggers.settings",
            "DATABASE_URL": "postgresql://u:p@db.example.com/mail",
            "SECRET_KEY": "k" * 64,
            "SENDGRID_API_KEY": "SG.x",
            "VAR_DIR": str(tmp_path),
        },
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_procfile_names_commands():
    lines = (OPS / "Procfile").read_text().splitlines()
    commands = [line.partition(": python manage.py ")[2] for line in lines]
    assert set(commands) <= get_commands().keys()
    assert {"web", "cluster", "migrate"} == set(commands)


# --- PgBouncer -------------------------------------------------------------------

POOLER = configparser.ConfigParser(interpolation=None)
POOLER.read(OPS / "pgbouncer" / "pgbouncer.ini")


def test_postgresql_is_told_by_the_pooler_what_hosts_tell_it_otherwise():
    query = re.search(r"connect_query='(.*)'$", POOLER["databases"]["emailtriggers"])
    told = dict(re.findall(r"SET (\w+) = (\w+)(?:; |$)", query[1]))
    # Transactions bring the planner's settings themselves.
    wanted = {k: str(v) for k, v in connecting.SERVER.items() if k != "plan_cache_mode"}
    limit = "idle_in_transaction_session_timeout"
    assert f"{int(told.pop(limit)) // 1000}s" == wanted.pop(limit)
    assert told == wanted


def test_the_pooler_asks_both_sides_as_they_would_ask_each_other():
    ours = POOLER["pgbouncer"]
    asks = [ours[f"tcp_{name}"] for name in ("keepidle", "keepintvl", "keepcnt")]
    assert ours["tcp_keepalive"] == "1"
    assert list(map(int, asks)) == [
        connecting.QUIET_S,
        connecting.ASK_S,
        connecting.ASKS,
    ]
    assert int(ours["tcp_user_timeout"]) == connecting.LOST_MS
    assert f"{ours['idle_transaction_timeout']}s" == connecting.IDLE_TRANSACTION
