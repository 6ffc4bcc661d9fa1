"""`python -m skew_ext.shipping SPOOL`: the shipper that the first logger of a spool starts."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

NICENESS = 5

if __name__ == "__main__":
    # A session of its own, before the imports take their seconds: a Ctrl-C at the server is not for the shipper.
    with suppress(PermissionError):  # a shell with job control has given it one already
        os.setsid()

    import logging
    from pathlib import Path

    from skew_ext.shipping.shipper import Shipper

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    # Serving comes first where processors are few.
    os.nice(NICENESS)
    spool, *inherited = sys.argv[1:]
    Shipper(Path(spool), lock=int(inherited[0]) if inherited else None).run(exit_when_abandoned=True)
