"""Stands in for one of the application's processes: `api`, `idle`, `stubborn`, `step`, `fail`.

Run as a script by `embedded_up`; it is no test module itself, and imports nothing of Hoard.
"""

import os
import signal
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer


class Healthz(BaseHTTPRequestHandler):
    """Answers every request as a healthy API would answer `/healthz`."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Stay silent."""


def stubborn() -> None:
    """Ignore the stop signal and have a child that does the same."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as child:
        child.wait()


def main(role: str) -> None:
    match role:
        case "api":
            HTTPServer(("127.0.0.1", int(os.environ["HOARD_PORT"])), Healthz).serve_forever()
        case "idle":
            time.sleep(600)
        case "stubborn":
            stubborn()
        case "fail":
            sys.exit("the step says why")


if __name__ == "__main__":
    main(sys.argv[1])
