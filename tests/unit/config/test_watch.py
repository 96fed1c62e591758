from __future__ import annotations

import os
from pathlib import Path

import pytest

from pointsman_server.clock import SystemClock
from pointsman_server.config.watch import Watch


class Seen:
    """Counts changes."""

    def __init__(self) -> None:
        self.count = 0

    async def __call__(self) -> None:
        self.count += 1


async def looks(watch: Watch, seen: Seen, times: int = 3) -> int:
    """The changes that some looks in a row bring."""
    before = seen.count
    for _ in range(times):
        await watch.look()
    return seen.count - before


def watching(*paths: Path) -> tuple[Watch, Seen]:
    seen = Seen()
    return Watch(SystemClock(), lambda: paths, seen), seen


async def test_a_change_is_told_once(tmp_path: Path) -> None:
    """A file that holds something else is one change; a file at rest is none."""
    file = tmp_path / "c.yaml"
    file.write_text("a: 1")
    watch, seen = watching(file)
    assert await looks(watch, seen) == 0
    file.write_text("a: 2")
    assert await looks(watch, seen) == 1
    assert await looks(watch, seen) == 0


async def test_a_file_in_mid_writing_is_left_alone(tmp_path: Path) -> None:
    """While every look finds something else, nothing is told; the last state is."""
    file = tmp_path / "c.yaml"
    watch, seen = watching(file)
    for number in range(5):
        file.write_text("a: " + "1" * number)
        await watch.look()
    assert seen.count == 0
    assert await looks(watch, seen) == 1


async def test_touching_is_no_change(tmp_path: Path) -> None:
    """A new time without new content is not told."""
    file = tmp_path / "c.yaml"
    file.write_text("a: 1")
    watch, seen = watching(file)
    os.utime(file, (1, 1))
    assert await looks(watch, seen) == 0


async def test_a_replaced_file_is_a_change(tmp_path: Path) -> None:
    """An editor's rename over the file is seen, also where size and time are the same."""
    file, other = tmp_path / "c.yaml", tmp_path / "new"
    file.write_text("a: 1")
    other.write_text("a: 2")
    for path in (file, other):
        os.utime(path, (7, 7))
    watch, seen = watching(file)
    other.replace(file)
    assert await looks(watch, seen) == 1


async def test_a_volume_that_swaps_its_link(tmp_path: Path) -> None:
    """Kubernetes updates a mounted ConfigMap by turning the link ..data; the file's own link stays."""
    for name, text in (("one", "a: 1"), ("two", "a: 2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "c.yaml").write_text(text)
    data, file = tmp_path / "..data", tmp_path / "c.yaml"
    data.symlink_to("one")
    file.symlink_to("..data/c.yaml")
    watch, seen = watching(file)
    turned = tmp_path / "..data_tmp"
    turned.symlink_to("two")
    turned.replace(data)
    assert await looks(watch, seen) == 1


async def test_a_file_that_goes_and_comes(tmp_path: Path) -> None:
    """A missing file is a state like any other."""
    file = tmp_path / "c.yaml"
    watch, seen = watching(file)
    file.write_text("a: 1")
    assert await looks(watch, seen) == 1
    file.unlink()
    assert await looks(watch, seen) == 1


async def test_what_is_watched_follows_the_configuration(tmp_path: Path) -> None:
    """A reload may name other files: they are watched from then on, and the old ones no more."""
    first, second = tmp_path / "one", tmp_path / "two"
    paths = [first]
    seen = Seen()

    async def changed() -> None:
        await seen()
        paths[:] = [second]

    watch = Watch(SystemClock(), lambda: paths, changed)
    first.write_text("1")
    assert await looks(watch, seen) == 1
    first.write_text("2")
    assert await looks(watch, seen) == 0
    second.write_text("3")
    assert await looks(watch, seen) == 1


class Stop(Exception):
    """Ends the endless loop of a test."""


class FewSleeps(SystemClock):
    """Lets a loop sleep so often."""

    def __init__(self, count: int) -> None:
        self.slept: list[float] = []
        self._count = count

    async def sleep(self, delay_s: float) -> None:
        if len(self.slept) == self._count:
            raise Stop
        self.slept.append(delay_s)


async def test_it_looks_at_its_interval(tmp_path: Path) -> None:
    """The task looks once per interval."""
    clock, seen = FewSleeps(3), Seen()
    watch = Watch(clock, lambda: [tmp_path / "c"], seen, interval_s=5)
    (tmp_path / "c").write_text("x")
    with pytest.raises(Stop):
        await watch.run()
    assert clock.slept == [5, 5, 5]
    assert seen.count == 1
