"""What holds for all tests: hypothesis without deadlines, and derandomised where CI runs it."""

import os

import pytest
from data.engine_conformance import TILES, tiles_of
from hypothesis import HealthCheck, settings

settings.register_profile(
    "default", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("ci", settings.get_profile("default"), derandomize=True, print_blob=True)


@pytest.fixture(params=TILES)
def tiles(request):
    """Each number of rows that the compiled engine's tiles may have."""
    with tiles_of(request.param):
        yield request.param


settings.load_profile("ci" if os.environ.get("CI") else "default")
