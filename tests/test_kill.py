"""A training that is killed for real, by SIGKILL, goes on to the same end; `nox -s torture` does it 100 times."""

import pytest
import torture

pytestmark = pytest.mark.usefixtures("uncached")


def test_killed_and_resumed_it_is_equal_to_the_last_bit() -> None:
    done = torture.torture(kills=2)
    assert done["kills"] >= 2
    assert done["different"] == 0
    assert done["equal"] == done["runs"] >= 1
