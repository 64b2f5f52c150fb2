"""Opens a report in headless Chromium and checks that it draws something: `python tests/screenshot.py FILE [FOLDER]`.

With a folder, pictures stay there: light, dark and narrow, and the page as it prints.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
DARK = "--blink-settings=preferredColorScheme=0"
VIEWS = {
    "light.png": ["--window-size=1280,5200"],
    "dark.png": ["--window-size=1280,5200", DARK],
    "narrow.png": ["--window-size=500,8000"],
    "print.pdf": ["--no-pdf-header-footer"],
}


def main(report: Path, folder: Path) -> None:
    for name, flags in VIEWS.items():
        picture = folder / f"{report.stem}-{name}"
        goal = f"--print-to-pdf={picture}" if name.endswith("pdf") else f"--screenshot={picture}"
        with tempfile.TemporaryDirectory() as profile:
            subprocess.run(
                ["chromium", *FLAGS, *flags, f"--user-data-dir={profile}", goal, report.resolve().as_uri()],
                check=True, capture_output=True, timeout=120,
            )  # fmt: skip
        size = picture.stat().st_size
        if size < 30_000:
            raise SystemExit(f"{name} of {report} has only {size} bytes: an empty page?")
        print(f"{report}: {name} of {size:,} bytes")


if __name__ == "__main__":
    if len(sys.argv) > 2:
        Path(sys.argv[2]).mkdir(parents=True, exist_ok=True)
        main(Path(sys.argv[1]), Path(sys.argv[2]).resolve())
    else:
        with tempfile.TemporaryDirectory() as kept:
            main(Path(sys.argv[1]), Path(kept))
