"""``python -m data_prep cfg.yaml`` is ``iconoclip prep cfg.yaml``."""

import sys

from iconoclip.cli import main

sys.argv.insert(1, "prep")
main()
