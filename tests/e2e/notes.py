"""What models of real servers tell of the calls that they were given: a file when one begins, another when it ends."""

from pathlib import Path

from tests.e2e.parts import until


class Notes:
    """One server's folder of notes; its models write `NAME.begun`, and how it ended into `NAME`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def clear(self) -> None:
        """Forgets what earlier calls left."""
        for file in self.folder.iterdir():
            file.unlink()

    def of(self, name: str) -> str:
        """How that call ended; empty while it has not."""
        file = self.folder / name
        return file.read_text() if file.exists() else ""

    async def begun(self, name: str) -> None:
        """Waits until a model has been given that call."""

        async def noted() -> bool:
            return (self.folder / f"{name}.begun").exists()

        await until(f"the model notes that {name} began", noted, within_s=30)

    async def ended(self, name: str) -> str:
        """Waits until that call has ended, and says how."""

        async def noted() -> str:
            return self.of(name)

        return await until(f"the model notes how {name} ended", noted, within_s=30)
