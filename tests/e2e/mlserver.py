"""A real MLServer in an environment of its own, with the runtimes of `mlserver_models`."""

from pathlib import Path
from typing import Any

from tests.e2e.notes import Notes
from tests.e2e.parts import HOST, ROOT, Process, free_port

MODELS = Path(__file__).parent / "mlserver_models"
STAMP = ROOT / ".venv-mlserver" / ".stamp"
PROGRAM = ROOT / ".venv-mlserver" / "bin" / "mlserver"


class MLServer(Process):
    """One server; `notes` is where its models write how each telling ended."""

    def __init__(
        self, name: str, folder: Path, *, models: Path = MODELS, weights: Path = Path("none")
    ) -> None:
        super().__init__(name, folder / f"{name}.log")
        self._models, self._weights = models, weights
        self.notes = Notes(folder / f"{name}-notes")
        self.http, self.grpc, self._metrics = free_port(), free_port(), free_port()
        self._folder = folder

    async def ensure_running(self) -> None:
        """Starts it when it does not run, and waits until every model is ready."""
        if not self.alive:
            self._start()
        await self.answers(f"http://{HOST}:{self.http}/v2/health/ready")

    def _start(self) -> None:
        settings = {
            "HOST": HOST,
            "HTTP_PORT": str(self.http),
            "GRPC_PORT": str(self.grpc),
            "METRICS_PORT": str(self._metrics),
            # Workers of their own would not be told of a caller who left, and cannot stream.
            "PARALLEL_WORKERS": "0",
            "METRICS_DIR": str(self._folder / f"{self.name}-metrics"),
            "ENVIRONMENTS_DIR": str(self._folder / f"{self.name}-environments"),
            "NOTES": str(self.notes.folder),
        }
        environment = {f"MLSERVER_{name}": value for name, value in settings.items()}
        environment["TINY_WEIGHTS"] = str(self._weights)
        self.start([str(PROGRAM), "start", str(self._models)], environment=environment)

    def backend(self, provider: str, **open_inference: Any) -> dict[str, Any]:
        """Its entry under `backends`."""
        port = self.grpc if provider.endswith("_grpc") else self.http
        return {"provider": provider, "url": f"http://{HOST}:{port}", "open_inference": open_inference}
