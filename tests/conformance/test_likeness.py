"""Each dialect over HTTP reads like the others: the same order of the same methods."""

from __future__ import annotations

import inspect

import pytest

from tests.conformance.vendors import CASES

ONE_EACH = list({case.vendor.profile.dialect: case for case in CASES if not case.refused}.values())
ADAPTER = ["__init__", "request", "decoder", "refusal"]
READER = ["__init__", "place", "ended", "complete", "document", "whole", "at_end"]
"""`place` and `ended` may be attributes; `at_end` is there where the protocol has no end signal."""


def methods(kind: type) -> list[str]:
    """Its public methods and properties as they stand in the file, base classes first."""
    found = dict.fromkeys(
        name
        for base in reversed(inspect.getmro(kind)[:-1])
        for name, value in vars(base).items()
        if callable(value) or isinstance(value, property)
    )
    return [name for name in found if name == "__init__" or not name.startswith("_")]


@pytest.mark.parametrize("case", ONE_EACH, ids=lambda case: case.vendor.profile.dialect)
def test_methods_stand_in_one_order(case):
    """An adapter asks, decodes and refuses; a reader tells where it is, and then takes a document or a whole answer."""
    adapter = case.adapter
    assert methods(type(adapter)) == ADAPTER
    assert type(adapter).__name__.endswith("Adapter")
    reader = adapter.decoder(case.attempt, case.status, case.headers)._reader
    assert type(reader).__name__.endswith("Reader")
    found = methods(type(reader))
    assert found == [name for name in READER if name in found]
    assert {"document", "whole", "complete"} <= set(found)
