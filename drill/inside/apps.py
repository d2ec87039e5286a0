"""The app that disturbs the product from within."""

from django.apps import AppConfig


class Inside(AppConfig):
    """Puts the disturbances in place once all of the product is loaded."""

    name = "drill.inside"
    label = "drill_inside"

    def ready(self) -> None:
        """Wrap the product's own functions; each looks at the control file."""
        # Not importable before all models are.
        from drill.inside import patches  # noqa: PLC0415

        patches.install()
