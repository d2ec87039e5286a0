"""The machine and the versions that figures hold for."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Final

import psutil

ROOT: Final = Path(__file__).parents[1]
PACKAGES: Final = ("Django", "psycopg", "django-q2", "granian", "msgspec", "sendgrid")


def host(postgres: str) -> dict[str, object]:
    """Describe this machine; `postgres` is what the server says of its version."""
    return {
        "cores": os.cpu_count(),
        "cpu": _cpu(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "pg": postgres,
        "pkgs": {name: version(name) for name in PACKAGES},
    }


def described(host: dict[str, object]) -> str:
    """Return the description as a sentence."""
    packages = host["pkgs"]
    listed = (
        ", ".join(f"{name} {number}" for name, number in packages.items())
        if isinstance(packages, dict)
        else ""
    )
    return (
        f"{host['cores']} cores ({host['cpu']}), {host['memory_gb']} GB, "
        f"{host['system']}, PostgreSQL {host['pg']} with fsync, "
        f"Python {host['python']}, {listed}."
    )


def commit() -> str:
    """Return the commit that is measured, with a + if files differ from it."""
    named = _git("rev-parse", "--short", "HEAD")
    changed = _git("status", "--porcelain", "--untracked-files=no")
    return (named or "unknown") + ("+" if changed else "")


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments],  # noqa: S607 - whichever git is installed
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
    except OSError:
        return ""
    return done.stdout.strip()


def _cpu() -> str:
    """Return the processor's model, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = [line.partition(":")[2].strip() for line in lines if "model name" in line]
    return models[0] if models else platform.machine()
