"""Where the embedded PostgreSQL keeps its data and listens; starts nothing."""

import hashlib
import tempfile
from pathlib import Path
from typing import Final

USER: Final = "postgres"
DATABASE: Final = "emailtriggers"
SOCKET_NAME: Final = ".s.PGSQL.5432"
LONGEST_SOCKET_PATH: Final = 100  # sun_path holds 104 bytes on macOS, 108 on Linux


def socket_dir(data: Path) -> Path:
    """Return the folder of the server's socket: short enough, and always the same.

    The data folder itself if its path is short enough, else a folder of the
    temporary directory, named by a digest of the path.
    """
    data = data.absolute()
    if len(str(data / SOCKET_NAME).encode()) <= LONGEST_SOCKET_PATH:
        return data
    digest = hashlib.sha256(str(data).encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()).absolute() / f"emailtriggers-{digest}"


def url(data: Path, database: str = DATABASE) -> str:
    """Return the DATABASE_URL of a database of that server."""
    host = str(socket_dir(data)).replace("/", "%2F")
    return f"postgresql://{USER}@{host}/{database}"
