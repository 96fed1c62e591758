"""Where in a message a fault is: raised deep inside, given its path on the way out, the good path pays nothing."""

from __future__ import annotations

from pointsman_server.errors import FieldFault, Reason, ServiceError


class Misfit(Exception):
    """A value that the contract does not know; `path` grows outwards as it passes each level."""

    def __init__(self, path: str, description: str) -> None:
        super().__init__(path)
        self.path = path
        self.description = description

    def under(self, parent: str) -> Misfit:
        """The same fault, seen from one level further out."""
        return Misfit(f"{parent}.{self.path}" if self.path else parent, self.description)

    def refusal(self) -> ServiceError:
        """The caller's answer."""
        return ServiceError(
            Reason.INVALID_REQUEST,
            f"{self.path}: {self.description}",
            fields=(FieldFault(self.path, self.description),),
        )
