"""`python -m skew_ext.shipping SPOOL`: the shipper that the first logger of a spool starts."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from skew_ext.shipping.shipper import Shipper

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    Shipper(Path(sys.argv[1])).run(exit_when_abandoned=True)
