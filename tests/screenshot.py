"""Opens a report in headless Chromium and checks that it draws something: `python tests/screenshot.py FILE`."""

import subprocess
import sys
import tempfile
from pathlib import Path

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1280,2400",
]  # fmt: skip


def main(report: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "report.png"
        subprocess.run(
            ["chromium", *FLAGS, f"--user-data-dir={folder}/profile", f"--screenshot={picture}", report.resolve().as_uri()],
            check=True, capture_output=True, timeout=120,
        )  # fmt: skip
        size = picture.stat().st_size
    if size < 30_000:
        raise SystemExit(f"the screenshot of {report} has only {size} bytes: an empty page?")
    print(f"{report}: screenshot of {size:,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
