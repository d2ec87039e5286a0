"""A pytest plugin for `make mutate`: no test is answered from another's cache.

mutmut runs the tests once and then forks for each mutant. What the first run left in
an lru_cache would hide what the mutant does.
"""

import sys

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Forget what functions of the domain remember."""
    for name, module in sys.modules.items():
        if name.startswith("campaigns.domain."):
            for value in vars(module).values():
                clear = getattr(value, "cache_clear", None)
                if clear is not None:
                    clear()
