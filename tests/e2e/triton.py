"""A real tritonserver out of its wheel, with the models of `triton_models`."""

import shutil
import signal
import sysconfig
from pathlib import Path
from typing import Any

from tests.e2e.open_inference import OpenInferenceServer
from tests.e2e.parts import ROOT
from tests.fakes.ports import HOST

MODELS = Path(__file__).parent / "triton_models"
STAMP = ROOT / ".venv-triton" / ".stamp"
PACKAGES = next(iter((ROOT / ".venv-triton" / "lib").glob("python*/site-packages")), Path("none"))
HOME = PACKAGES / "pytriton" / "tritonserver"


class Triton(OpenInferenceServer):
    """One server."""

    def __init__(
        self, name: str, folder: Path, *, models: Path = MODELS, weights: Path | None = None
    ) -> None:
        super().__init__(name, folder, models=models, weights=weights)
        self._backends = folder / f"{name}-backends"

    def launch(self) -> None:
        """Starts its program."""
        self._place_backends()
        places = {"http": self.http, "grpc": self.grpc, "metrics": self.metrics}
        options = [f"--{kind}-address={HOST}" for kind in places]
        options += [f"--{kind}-port={port}" for kind, port in places.items()]
        options += [f"--model-repository={self.models}", f"--backend-directory={self._backends}"]
        options += ["--allow-gpu-metrics=false", "--disable-auto-complete-config", "--exit-timeout-secs=20"]
        self.start([str(HOME / "bin" / "tritonserver"), *options], environment=self._environment())

    def _place_backends(self) -> None:
        # The wheel keeps one stub for each Python; the backend looks for the running one's beside itself.
        if self._backends.exists():
            return
        shutil.copytree(HOME / "backends", self._backends)
        stubs = HOME / "python_backend_stubs" / sysconfig.get_python_version()
        for stub in stubs.iterdir():
            shutil.copy2(stub, self._backends / "python")
        # The interpreter within the stub looks at no PYTHONPATH, but at its own folder.
        for package in ("numpy", "numpy.libs"):
            (self._backends / "python" / package).symlink_to(PACKAGES / package)

    def _environment(self) -> dict[str, str]:
        # The second folder holds the libpython that the stub is linked with; another one of the system would not fit.
        libraries = [str(PACKAGES / "nvidia_pytriton.libs"), sysconfig.get_config_var("LIBDIR")]
        return {"LD_LIBRARY_PATH": ":".join(libraries), **self.told_models()}

    def drain(self) -> None:
        """Asks it to end: running streams go on, and new calls are refused."""
        self.signal(signal.SIGTERM)

    def backend(self, provider: str, **open_inference: Any) -> dict[str, Any]:
        """Its entry under `backends`; of models here, hardly one takes a batch."""
        return super().backend(provider, **{"batched": False, **open_inference})
