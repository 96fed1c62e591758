"""A real MLServer in an environment of its own, with the runtimes of `mlserver_models`."""

from pathlib import Path

from tests.e2e.open_inference import OpenInferenceServer
from tests.e2e.parts import ROOT
from tests.fakes.ports import HOST

MODELS = Path(__file__).parent / "mlserver_models"
STAMP = ROOT / ".venv-mlserver" / ".stamp"
PROGRAM = ROOT / ".venv-mlserver" / "bin" / "mlserver"


class MLServer(OpenInferenceServer):
    """One server."""

    def __init__(
        self, name: str, folder: Path, *, models: Path = MODELS, weights: Path | None = None
    ) -> None:
        super().__init__(name, folder, models=models, weights=weights)
        self._folder = folder

    def launch(self) -> None:
        """Starts its program."""
        settings = {
            "HOST": HOST,
            "HTTP_PORT": str(self.http),
            "GRPC_PORT": str(self.grpc),
            "METRICS_PORT": str(self.metrics),
            # Worker processes hand on no streams.
            "PARALLEL_WORKERS": "0",
            "METRICS_DIR": str(self._folder / f"{self.name}-metrics"),
            "ENVIRONMENTS_DIR": str(self._folder / f"{self.name}-environments"),
        }
        environment = {f"MLSERVER_{name}": value for name, value in settings.items()}
        command = [str(PROGRAM), "start", str(self.models)]
        self.start(command, environment={**environment, **self.told_models()})
