"""`make conformance`: the public audit and three public client libraries against a whole stack of its own.

Needs Node 20 or newer and npm, and installs what `package-lock.json` names into a temporary folder. What it found goes
to standard output; the exit status is 1 if anything failed, 2 if it could not run. Figures: `docs/conformance.md`.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from app.demo.stage import stage

HERE = Path(__file__).parent
SECONDS = 120.0


def install(folder: Path) -> None:
    """The npm packages, exactly those of the lock file, with the scripts beside them."""
    for name in ("package.json", "package-lock.json", "audit.mjs", "flow.mjs"):
        shutil.copy(HERE / name, folder / name)
    subprocess.run(
        ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"], cwd=folder, check=True
    )


def run(name: str, arguments: list[str], folder: Path, key: str) -> bool:
    """Run one of them and tell how it went."""
    try:
        done = subprocess.run(
            arguments,
            cwd=folder,
            env={**os.environ, "HOARD_API_KEY": key},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        said, well = (done.stdout + done.stderr).strip(), done.returncode == 0
    except subprocess.TimeoutExpired:
        said, well = f"no end after {SECONDS:.0f} s", False
    print(f"{'ok    ' if well else 'FAILED'} {name}: {said}", flush=True)
    return well


def main() -> int:
    """All of them, whatever becomes of the first."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        print("make conformance needs Node 20 or newer and npm", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="hoard-conformance-") as temporary:
        folder = Path(temporary)
        install(folder)
        with stage(folder / "data") as running:
            url, key = running.graphql, running.keys["workerOwner"]
            going = {
                "GraphQL over HTTP, audit by graphql-http": ["node", "audit.mjs", url],
                "graphql-ws": ["node", "flow.mjs", url, "ws"],
                "graphql-sse": ["node", "flow.mjs", url, "sse"],
                "gql for Python": [sys.executable, str(HERE / "flow.py"), url],
            }
            well = [run(name, arguments, folder, key) for name, arguments in going.items()]
    return 0 if all(well) else 1


if __name__ == "__main__":
    sys.exit(main())
