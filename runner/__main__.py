"""`python -m runner`: the same as the `runner` command."""

from __future__ import annotations

import sys

# Said here because nothing below can be imported there. Who installs runner is told by pip.
if sys.version_info < (3, 11):  # noqa: UP036
    sys.stderr.write("error: Python %d.%d was not tested\n" % sys.version_info[:2])  # noqa: UP031
    sys.stderr.write("fix: run it with one of Python 3.11, 3.12, 3.13\n")
    raise SystemExit(6)

from runner.cli import main  # noqa: E402

main()
