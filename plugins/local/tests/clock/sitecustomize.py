"""
The clock on the wall, in each Python process that has this folder on its path.

It is wrong by as many seconds as the file $CLOCK says, from one reading to the next.
"""

import os
import time
from pathlib import Path

_true, _file = time.time, Path(os.environ["CLOCK"])


def _time() -> float:
    return _true() + float(_file.read_text())


time.time = _time
time.time_ns = lambda: int(_time() * 1e9)
