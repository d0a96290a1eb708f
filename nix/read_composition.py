"""Read an image's composition file as the image will, in its build: read_composition.py FILE."""

from __future__ import annotations

import sys
from pathlib import Path

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.runtime_root.strategies import load_composition

try:
    load_composition(Path(sys.argv[1]))
except UserError as error:
    sys.exit(str(error))
