"""Before the import of the shared suite, so that a failed assert there shows its values."""

import pytest

pytest.register_assert_rewrite("common")
