"""A loaded configuration -> what a worker is handed of it -> the same again in the worker.

Workers read neither the file nor secrets: all run on what their supervisor has checked, also one that starts again
while the file is broken.
"""

from __future__ import annotations

import io
import pickle
from dataclasses import replace

from pointsman_server.config.load import Loaded
from pointsman_server.config.schema import Config
from pointsman_server.config.secrets import Secret
from pointsman_server.config.share import share
from pointsman_server.reload import pinned
from pointsman_server.supervisor.control import Handed


def hand(first: Config, current: Loaded, number: int, *, address: str) -> Handed:
    """What worker `number` runs on when `current` is in force in a service that was started with `first`."""
    part = share(pinned(first, current.config), number, address=address)
    packed = io.BytesIO()
    pickler = pickle.Pickler(packed, pickle.HIGHEST_PROTOCOL)
    # Secrets refuse to be pickled anywhere else.
    pickler.dispatch_table = {Secret: lambda secret: (Secret, (secret.reveal(),))}
    pickler.dump(replace(current, config=part, files=()))
    return Handed(packed.getvalue())


def taken(handed: Handed) -> Loaded:
    """What a worker makes of it."""
    loaded = pickle.loads(handed.loaded)  # noqa: S301 - from our own supervisor, over a pair without a name.
    assert isinstance(loaded, Loaded)
    return loaded
