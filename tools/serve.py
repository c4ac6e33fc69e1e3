"""Serve the built book to this machine: `python tools/serve.py 8000` in the repository's root."""

import argparse
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HTML, REFUSED = Path("_build/html"), Path("_build/refused")


def open_server(port: int) -> ThreadingHTTPServer:
    """A server of the book, bound to this machine only; SystemExit says what stands in the way."""
    if not (HTML / "index.html").is_file():
        sys.exit("There is no book yet: run make book.")
    handler = partial(SimpleHTTPRequestHandler, directory=str(HTML))
    try:
        return ThreadingHTTPServer(("127.0.0.1", port), handler)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        sys.exit(f"Port {port} cannot be used ({reason}): try make serve PORT={(port + 1) % 2**16}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    server = open_server(parser.parse_args().port)
    if REFUSED.exists():
        print("This is an older build: the last make book was refused or broken off.")
    print(f"The book is at http://127.0.0.1:{server.server_port}/ (Ctrl-C ends this)", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print()


if __name__ == "__main__":
    main()
