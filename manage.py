"""Run a management command of the project."""

import os
import sys
from pathlib import Path

OURS = {"campaigns", "demo", "emailtriggers"}


def stay() -> None:
    """Keep to this release's folder, wherever a link such as `current` leads later.

    A supervisor lives for weeks, and starts Python again: old code would meet the
    packages of the next release. The link that python itself is stays one, for it
    is by the folder of that link that Python finds its virtual environment.
    """
    python = Path(sys.executable)
    # multiprocessing takes its own from here when it is first imported.
    sys.executable = str(python.parent.resolve() / python.name)
    sys.path[:] = [entry and os.path.realpath(entry) for entry in sys.path]


def main() -> None:
    """Run the command; what keeps it from starting is one sentence, without a stack."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "emailtriggers.settings")
    # Imported here, so that a package that is missing can be told in words.
    from django.core.exceptions import ImproperlyConfigured  # noqa: PLC0415
    from django.core.management import execute_from_command_line  # noqa: PLC0415
    from django.db import OperationalError  # noqa: PLC0415
    from django.db.migrations.exceptions import (  # noqa: PLC0415
        MigrationSchemaMissing,
    )

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"Cannot start: {error}")
    except (OperationalError, MigrationSchemaMissing) as error:
        if "--traceback" in sys.argv:
            raise
        sys.exit(from_database(error))


def from_database(error: Exception) -> str:
    """Return what the database said, and which one; never the password."""
    from django.db import connection  # noqa: PLC0415 - see above

    at = connection.settings_dict
    said = " ".join(str(error).split())
    if at["PASSWORD"]:
        said = said.replace(at["PASSWORD"], "***")
    return (
        f"The database {at['NAME']!r} on host {at['HOST'] or 'localhost'!r}, port "
        f"{at['PORT'] or 5432}, as user {at['USER']!r}, says: {said}"
    )


if __name__ == "__main__":
    stay()
    try:
        main()
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] in OURS:
            raise
        sys.exit(
            f"Cannot start: the package {missing.name!r} is not installed in "
            f"{sys.prefix}. `make run` installs what is needed; or run: "
            f"{sys.executable} -m pip install -r requirements.txt"
        )
