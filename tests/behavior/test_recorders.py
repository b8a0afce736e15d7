"""Processes that record end with the one that started them, and do not hear Ctrl-C."""

import signal
import sys
import time

import pytest

from shared.behavior.recorders import recorders


@pytest.mark.skipif(sys.platform == "win32", reason="signals are not masked there")
def test_they_hear_no_ctrl_c_and_end_when_their_block_is_left():
    with pytest.raises(KeyboardInterrupt), recorders(2) as pool:
        blocked = pool.submit(signal.pthread_sigmask, signal.SIG_BLOCK, ()).result()
        assert signal.SIGINT in blocked
        assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
        busy = pool.submit(time.sleep, 10**6)
        while not busy.running():
            time.sleep(0.01)
        raise KeyboardInterrupt
    assert busy.done()
