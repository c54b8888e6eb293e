"""``python -m engine`` is ``stillhouse``."""

import sys

from engine.cli import main

if __name__ == "__main__":
    sys.exit(main())
