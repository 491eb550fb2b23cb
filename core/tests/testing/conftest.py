"""Makes the helpers beside these tests importable, whichever way pytest imports test files."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
