"""Ask SendGrid what a key may do: the one request that sends nothing.

https://www.twilio.com/docs/sendgrid/api-reference/api-key-permissions
"""

from typing import Final

import certifi
import urllib3

from campaigns.providers.sendgrid.client import NO_KEY

TIMEOUT_S: Final = 10.0
SEND: Final = "mail.send"


class KeyRefused(Exception):
    """SendGrid does not know the key, or lets it do nothing."""


class NotReached(Exception):
    """No answer that says anything came."""


def scopes(*, api_key: str, host: str) -> frozenset[str]:
    """Return what the key may do. Raises KeyRefused or NotReached."""
    with urllib3.PoolManager(ca_certs=certifi.where(), retries=False) as pool:
        try:
            answer = pool.request(
                "GET",
                f"{host}/v3/scopes",
                headers={"Authorization": f"Bearer {api_key or NO_KEY}"},
                timeout=TIMEOUT_S,
                redirect=False,
            )
            found = answer.json() if answer.status == 200 else None
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            raise NotReached(type(error).__name__) from error
    if answer.status in (401, 403):
        raise KeyRefused(f"HTTP {answer.status}")
    if not isinstance(found, dict) or not isinstance(found.get("scopes"), list):
        raise NotReached(f"HTTP {answer.status}")
    return frozenset(map(str, found["scopes"]))
