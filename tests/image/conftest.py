"""The image, built once for all tests here. Where it cannot be built they are skipped, with the reason."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.image.building import TAG, CannotBuild, base, build, run

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Nothing here belongs to `make test`."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.image)
            if not item.get_closest_marker("timeout"):
                item.add_marker(pytest.mark.timeout(900))


@pytest.fixture(scope="session")
def image() -> Iterator[str]:
    """The name of the image."""
    try:
        base()
    except CannotBuild as error:
        pytest.skip(f"the image cannot be built here: {error}")
    build(TAG)
    yield TAG
    # Earlier builds, which have lost their name to this one.
    run("podman", "image", "prune", "--force", "--filter=label=org.opencontainers.image.title=pointsman")
