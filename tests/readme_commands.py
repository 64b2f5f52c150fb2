"""Runs what the README and the guide to images mark as runnable, as it stands: `python tests/readme_commands.py`."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "docs/guide/images.md")  # in this order: the guide uses what the README's demo leaves


def main() -> None:
    blocks = []
    for page in PAGES:
        text = (ROOT / page).read_text()
        found = re.findall(r"<!-- runnable -->\n```(\w+)\n(.*?)```", text, flags=re.DOTALL)
        if len(found) < 4:
            raise SystemExit(f"only {len(found)} runnable blocks in {page}: were the marks lost?")
        blocks += found
    bin_folder = Path(sys.executable).parent
    environment = os.environ | {"PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}"}
    with tempfile.TemporaryDirectory() as folder:
        for kind, text in blocks:
            commands = [["python", "-c", text]] if kind == "python" else [
                ["bash", "-c", line.removeprefix("$ ")] for line in text.splitlines() if line.startswith("$ ")
            ]  # fmt: skip
            for command in commands:
                print("--", command[-1].strip().splitlines()[0], flush=True)
                subprocess.run(command, cwd=folder, env=environment, check=True)


if __name__ == "__main__":
    main()
