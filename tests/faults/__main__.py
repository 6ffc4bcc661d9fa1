"""`python -m tests.faults`: the longer form of the harness."""

from __future__ import annotations

import sys

from tests.faults.longer import main

if __name__ == "__main__":
    sys.exit(main())
