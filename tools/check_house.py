"""Checks the rules of this code base that no linter knows, over every Python source that is not generated.

1. No function is longer than 60 lines.
2. Nothing is patched: collaborators are passed in, so tests give fakes.
3. No test sleeps on the real clock with `time.sleep`.
4. No note of work to be done later: it is done now or left out.
5. In the service, only `clock.py` reads or waits on the clock.
"""

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PLACES = ("service", "clients", "tests", "tools", "bench", "examples")
GENERATED = ROOT / "clients" / "python" / "pointsman" / "v1"
SERVICE = ROOT / "service" / "pointsman_server"
CLOCK = SERVICE / "clock.py"

LONGEST_FUNCTION = 60
# Written so that this file does not break its own rule.
LATER = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK")) + r")\b")
PATCHES = ("mock.patch", "mock.patch.object", "mock.patch.dict", "monkeypatch.setattr", "mocker.patch")
PATCHING_MODULES = ("mock", "unittest.mock", "pytest_mock")
CLOCK_CALLS = ("asyncio.sleep", "asyncio.timeout", "asyncio.timeout_at", "time.sleep")

Fault = tuple[int, str]


def sources() -> Iterator[Path]:
    """Every Python source that is not generated."""
    for place in PLACES:
        for path in sorted((ROOT / place).rglob("*.py")):
            if GENERATED not in path.parents and not {"build", "node_modules"} & set(path.parts):
                yield path


def _dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def _imported(node: ast.AST) -> list[str]:
    """The modules, and the members of modules, that a statement imports."""
    if isinstance(node, ast.Import):
        return [name.name for name in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return [node.module, *(f"{node.module}.{name.name}" for name in node.names)]
    return []


def long_functions(tree: ast.AST) -> Iterator[Fault]:
    """Rule 1."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > LONGEST_FUNCTION:
                yield node.lineno, f"{node.name} has {length} lines, more than {LONGEST_FUNCTION}"


def patches(tree: ast.AST) -> Iterator[Fault]:
    """Rule 2."""
    for node in ast.walk(tree):
        for name in _imported(node):
            if name in PATCHING_MODULES:
                yield node.lineno, f"{name} is imported: pass a fake in instead of patching"  # type: ignore[attr-defined]
        if isinstance(node, ast.Call) and _dotted(node.func).endswith(PATCHES):
            yield node.lineno, f"{_dotted(node.func)}: pass a fake in instead of patching"


def sleeps(tree: ast.AST) -> Iterator[Fault]:
    """Rule 3."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _dotted(node.func) == "time.sleep":
            yield node.lineno, "time.sleep: wait for what should happen"
        elif "time.sleep" in _imported(node):
            yield node.lineno, "sleep is imported from time: wait for what should happen"  # type: ignore[attr-defined]


def postponed(text: str) -> Iterator[Fault]:
    """Rule 4."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in {tokenize.COMMENT, tokenize.STRING} and (found := LATER.search(token.string)):
            yield token.start[0], f"{found[0]}: do it now or leave it out"


def clock_reads(tree: ast.AST) -> Iterator[Fault]:
    """Rule 5."""
    for node in ast.walk(tree):
        for name in _imported(node):
            if name == "time" or name in CLOCK_CALLS:
                yield node.lineno, f"{name} is imported: only clock.py knows the time"  # type: ignore[attr-defined]
        if isinstance(node, ast.Call) and _dotted(node.func) in CLOCK_CALLS:
            yield node.lineno, f"{_dotted(node.func)}: only clock.py knows the time"


def faults(path: Path) -> list[Fault]:
    """Everything that is wrong in one file."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text, filename=str(path))
    found = [*long_functions(tree), *patches(tree), *postponed(text)]
    if ROOT / "tests" in path.parents:
        found += sleeps(tree)
    if SERVICE in path.parents and path != CLOCK:
        found += clock_reads(tree)
    return sorted(set(found))


def main() -> int:
    """Entry point."""
    checked = failed = 0
    for path in sources():
        checked += 1
        for line, message in faults(path):
            failed += 1
            print(f"{path.relative_to(ROOT)}:{line}: {message}", file=sys.stderr)
    print(f"{checked} files, {failed} faults")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
