"""What every test of the chart needs: Helm. Without it all of them are skipped, with the reason."""

from pathlib import Path

import pytest

from tools.go_tools import ToolMissing, find

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Nothing here belongs to `make test`."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.chart)
            if not item.get_closest_marker("timeout"):
                item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(autouse=True, scope="session")
def _helm() -> None:
    try:
        find("helm")
    except ToolMissing as error:
        pytest.skip(str(error))
