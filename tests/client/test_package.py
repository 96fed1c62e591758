import subprocess
import sys

import pytest

import pointsman


def loaded_by(statement):
    script = (
        f"import sys\n{statement}\nprint(*(name for name in sys.modules if name.startswith('pointsman')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    return set(done.stdout.split())


def test_the_contract_loads_without_the_client():
    """Whoever imports only the generated code, as the server does, loads nothing of the client."""
    loaded = {name for name in loaded_by("import pointsman.v1") if not name.startswith("pointsman.v1")}
    assert loaded == {"pointsman"}


def test_the_blocking_client_loads_without_asyncio_twin():
    """Names are loaded when they are asked for."""
    assert "pointsman.aio" not in loaded_by("from pointsman import Client")


@pytest.mark.parametrize("name", pointsman.__all__)
def test_every_public_name_is_there(name):
    """What the package lists can be imported, and is listed by dir()."""
    assert getattr(pointsman, name) is not None
    assert name in dir(pointsman)


def test_an_unknown_name_is_an_attribute_error():
    """As of any module."""
    with pytest.raises(AttributeError, match="no attribute 'Clinet'"):
        _ = pointsman.Clinet
