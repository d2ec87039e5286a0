"""The Django project: settings, the door, and the commands that run it all."""

from typing import Final

__version__: Final = "0.1.0"
