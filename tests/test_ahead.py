"""`Ahead`: order, bounds, errors and endings of the threads."""

import gc
import subprocess
import sys
import threading
import time
import traceback

import pytest

from cnnflow.ahead import Ahead

WAIT = 20.0


def threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("ahead-")]


def wait_until(condition):
    end = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.005)


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    gc.collect()
    wait_until(lambda: not threads())


@pytest.mark.parametrize("workers", [0, 1, 2, 7])
def test_items_come_in_order_whichever_thread_is_slow(workers):
    def make(number):
        time.sleep(0.002 * (number % 3))
        return number

    assert list(Ahead(make, 5, 40, workers=workers)) == list(range(5, 40))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(("start", "stop"), [(3, 3), (5, 3)])
def test_there_may_be_nothing_to_make(workers, start, stop):
    assert list(Ahead(str, start, stop, workers=workers)) == []


def test_threads_work_at_the_same_time():
    meeting = threading.Barrier(3, timeout=WAIT)
    with Ahead(lambda number: meeting.wait() >= 0, 0, 6, workers=3) as items:
        assert list(items) == [True] * 6


@pytest.mark.parametrize("workers", [1, 3])
def test_no_more_is_made_ahead_than_there_is_room_for(workers):
    made = []
    with Ahead(lambda number: made.append(number) or number, 0, 1000, workers=workers) as items:
        room = 2 * workers + 1
        wait_until(lambda: len(made) == room)
        time.sleep(0.05)
        assert len(made) == room
        next(items)
        wait_until(lambda: len(made) == room + 1)
        time.sleep(0.05)
        assert len(made) == room + 1


def fail_at_three(number):
    if number == 3:
        raise ValueError("the third")
    return number


@pytest.mark.parametrize("workers", [0, 1, 2, 7])
def test_an_error_comes_in_its_place_with_its_own_traceback_and_ends_the_items(workers):
    items = Ahead(fail_at_three, 0, 100, workers=workers)
    assert [next(items) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="the third") as caught:
        next(items)
    assert "fail_at_three" in [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert threads() == []
    assert list(items) == []


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stop_iteration_in_the_work_is_an_error_and_not_the_end(workers):
    with pytest.raises(RuntimeError, match="StopIteration while item 0 was made") as caught:
        list(Ahead(lambda number: next(iter([])), 0, 5, workers=workers))
    assert isinstance(caught.value.__cause__, StopIteration)


def test_closing_ends_threads_that_wait_for_room_and_gives_no_more_items():
    items = Ahead(lambda number: number, 0, 1000, workers=4)
    next(items)
    assert len(threads()) == 4
    items.close()
    assert threads() == []
    assert list(items) == []
    items.close()


def test_leaving_the_with_block_by_an_error_ends_the_threads():
    def leave():
        with Ahead(lambda number: number, 0, 1000, workers=2) as items:
            raise KeyError(next(items))

    with pytest.raises(KeyError):
        leave()
    assert threads() == []


def test_dropping_the_iterator_ends_the_threads():
    items = Ahead(lambda number: number, 0, 1000, workers=2)
    next(items)
    del items
    gc.collect()
    wait_until(lambda: not threads())


def test_closing_does_not_wait_for_ever_for_work_that_hangs():
    release = threading.Event()
    items = Ahead(lambda number: release.wait(WAIT), 0, 10, workers=1)
    begin = time.monotonic()
    items.close()
    assert time.monotonic() - begin < 5
    release.set()


def run(script, **options):
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, **options)


def test_the_interpreter_exits_while_threads_wait_and_while_they_work():
    begin = time.monotonic()
    done = run(
        "import threading, time\n"
        "from cnnflow.ahead import Ahead\n"
        "waiting = Ahead(lambda number: number, 0, 1000, workers=3)\n"
        "next(waiting)\n"
        "working = Ahead(lambda number: time.sleep(600), 0, 1000, workers=3)\n"
        "print('end')\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")
    assert time.monotonic() - begin < 30


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT cannot be sent to one process on Windows")
@pytest.mark.parametrize("where", ["next(items)", "time.sleep(600)"])
def test_ctrl_c_ends_it_at_once(where):
    begin = time.monotonic()
    done = run(
        "import os, signal, threading, time\n"
        "from cnnflow.ahead import Ahead\n"
        # A shell's background jobs, and all that they start, are told to ignore Ctrl-C.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "interrupt = lambda: os.kill(os.getpid(), signal.SIGINT)\n"
        "slow = lambda number: time.sleep(600 if number else 0)\n"
        "threading.Timer(0.3, interrupt).start()\n"
        "with Ahead(slow, 0, 1000, workers=2) as items:\n"
        "    next(items)\n"
        f"    {where}\n"
    )
    assert "KeyboardInterrupt" in done.stderr
    assert done.returncode != 0
    assert time.monotonic() - begin < 30
