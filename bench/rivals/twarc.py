"""twarc2 as it is, but for the host: python -m bench.rivals.twarc ADDRESS, and then twarc2's own arguments."""

from __future__ import annotations

import sys

from twarc.command2 import twarc2

from bench.rivals.host import redirect

if __name__ == "__main__":
    redirect(sys.argv.pop(1))
    twarc2()
