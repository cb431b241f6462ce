"""``python -m eval cfg.yaml`` is ``iconoclip eval cfg.yaml``."""

import sys

from iconoclip.cli import main

sys.argv.insert(1, "eval")
main()
