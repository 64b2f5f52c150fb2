"""Runs what the README marks as runnable, as it stands there: `python tests/readme_commands.py`."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def main() -> None:
    blocks = re.findall(r"<!-- runnable -->\n```(\w+)\n(.*?)```", README.read_text(), flags=re.DOTALL)
    if len(blocks) < 5:
        raise SystemExit(f"only {len(blocks)} runnable blocks in the README: were the marks lost?")
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
