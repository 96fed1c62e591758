"""Checks that the generated stubs work in the environment they run in: every message is encoded and decoded once.

Runs in the environment of `requirements/client-floor.txt`: the oldest grpcio and protobuf that callers may have.
"""

from importlib.metadata import version

import grpc
from google.protobuf.message import Message

from pointsman import v1


def main() -> None:
    """Entry point."""
    kinds = [
        kind
        for name in v1.__all__
        if isinstance(kind := getattr(v1, name), type) and issubclass(kind, Message)
    ]
    for kind in kinds:
        if kind.FromString(kind().SerializeToString()) != kind():
            raise SystemExit(f"{kind.__name__} does not survive encoding")
    with grpc.insecure_channel("localhost:1") as channel:
        for stub in (v1.InferenceServiceStub, v1.ModelServiceStub, v1.RouterAdminServiceStub):
            stub(channel)
    print(
        f"{len(kinds)} messages and 3 stubs work with grpcio {version('grpcio')} and protobuf {version('protobuf')}"
    )


if __name__ == "__main__":
    main()
