"""``python -m train cfg.yaml`` is ``iconoclip train cfg.yaml``."""

import sys

from iconoclip.cli import main

sys.argv.insert(1, "train")
main()
