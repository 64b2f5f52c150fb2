"""Runs what the README and the guide mark as runnable, as it stands: `python tests/readme_commands.py [PAGE...]`."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
# In this order: the guide uses what the README's demo leaves.
TOGETHER = ("README.md", "docs/guide/images.md")


def main() -> None:
    guide = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs" / "guide").glob("*.md"))
    others = [(page,) for page in guide if page not in TOGETHER and blocks_of(page)]
    for page in TOGETHER:
        if len(blocks_of(page)) < 4:
            raise SystemExit(f"only {len(blocks_of(page))} runnable blocks in {page}: were the marks lost?")
    wanted = [(page,) for page in sys.argv[1:]] or [TOGETHER, *others]
    for pages in wanted:
        with tempfile.TemporaryDirectory() as folder:
            for page in pages:
                print(f"== {page}", flush=True)
                for kind, text in blocks_of(page):
                    run(kind, text, folder)


def blocks_of(page: str) -> list[tuple[str, str]]:
    """The kind and text of each block after the mark."""
    return re.findall(r"<!-- runnable -->\n```(\w+)\n(.*?)```", (ROOT / page).read_text(), flags=re.DOTALL)


def run(kind: str, text: str, folder: str) -> None:
    """A block of Python, or the lines of a terminal that begin with a dollar sign."""
    bin_folder = Path(sys.executable).parent
    environment = os.environ | {"PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}"}
    commands = [["python", "-c", text]] if kind == "python" else [
        ["bash", "-c", line.removeprefix("$ ")] for line in text.splitlines() if line.startswith("$ ")
    ]  # fmt: skip
    for command in commands:
        print("--", command[-1].strip().splitlines()[0], flush=True)
        subprocess.run(command, cwd=folder, env=environment, check=True)


if __name__ == "__main__":
    main()
