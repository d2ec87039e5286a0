"""What a password may not be, beside Django's own rules."""

from typing import Final

from django.core.exceptions import ValidationError

MOST_CHARS: Final = 128


class LengthBound:
    """Refuses passwords so long that hashing them is work; a validator of Django's."""

    def validate(self, password: str, _user: object = None) -> None:
        """Raise ValidationError for a password of more than MOST_CHARS characters."""
        if len(password) > MOST_CHARS:
            raise ValidationError(self.get_help_text(), code="password_too_long")

    def get_help_text(self) -> str:
        """Return the rule as a sentence."""
        return f"Your password must have at most {MOST_CHARS} characters."
