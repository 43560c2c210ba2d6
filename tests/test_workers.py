import os
import signal
import subprocess
import sys
import time

import pytest

from amt import workers
from amt.workers import Died, Workers, each_done

# Work that any process can import: jobs are expressions of Python.
LOSE_ONCE = "__import__('os').path.exists({0!r}) or (open({0!r}, 'w').close(), __import__('os')._exit(5))"


def done(jobs, num=2):
    return dict(each_done(eval, jobs, Workers(num)))


def test_each_job_is_done_once_whoever_does_it():
    jobs = [f"{number} * 7" for number in range(23)]
    for num in (1, 3):
        found = list(each_done(eval, jobs, Workers(num)))
        assert sorted(found) == sorted((job, eval(job)) for job in jobs)
    pids = {pid for _, pid in each_done(eval, [f"({n}, __import__('os').getpid())[1]" for n in range(9)], Workers(2))}
    assert os.getpid() not in pids and 1 <= len(pids) <= 2
    assert done([]) == {}


def test_jobs_are_asked_for_when_there_is_somebody_for_them():
    asked = []

    def jobs():
        for number in range(50):
            asked.append(number)
            yield str(number)

    coming = each_done(eval, jobs(), Workers(2))
    next(coming)
    assert len(asked) <= 5
    coming.close()


def test_what_work_raises_is_raised_here():
    with pytest.raises(ValueError, match="could not convert"):
        done(["1", "float('x')", "2"])


def test_a_job_that_ends_its_workers_is_given_up_and_the_others_are_done(tmp_path):
    marks = [str(tmp_path / str(number)) for number in range(3)]
    jobs = ["1 + 1", "__import__('os')._exit(3)", *(LOSE_ONCE.format(mark) for mark in marks), "2 + 2"]
    found = done(jobs)
    assert found.pop(jobs[1]) == Died("its worker process ended (exit code 3)")
    assert found == {"1 + 1": 2, "2 + 2": 4} | {LOSE_ONCE.format(mark): True for mark in marks}


def test_a_worker_that_is_killed_before_it_begins_is_replaced(monkeypatch):
    pids = []

    class Killed(workers._Process):
        def __init__(self, work):
            super().__init__(work)
            pids.append(self.process.pid)
            if len(pids) == 1:
                os.kill(self.process.pid, signal.SIGKILL)

    monkeypatch.setattr(workers, "_Process", Killed)
    assert done(["1 + 1", "2 + 2"], num=1) == {"1 + 1": 2, "2 + 2": 4} and len(pids) == 2


def test_a_script_without_a_main_says_what_to_do(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from amt.workers import Workers, each_done\n"
        "print(list(each_done(eval, ['1'], Workers(2))))\n"
    )  # fmt: skip
    ran = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert ran.returncode == 1 and 'if __name__ == "__main__":' in ran.stderr.splitlines()[-1]


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_the_process_that_asks(tmp_path, ending):
    script = tmp_path / "script.py"
    job = f"open({str(tmp_path / 'pid')!r}, 'w').write(str(__import__('os').getpid())) and __import__('time').sleep(60)"
    script.write_text(
        "from amt.workers import Workers, each_done\n"
        "if __name__ == '__main__':\n"
        f"    list(each_done(eval, [{job!r}], Workers(1)))\n"
    )
    with subprocess.Popen([sys.executable, script], stderr=subprocess.DEVNULL) as process:
        pid = tmp_path / "pid"
        while not (pid.exists() and pid.read_text()):
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(ending)
    worker = int(pid.read_text())
    for _ in range(500):
        if not is_alive(worker):
            return
        time.sleep(0.02)
    os.kill(worker, signal.SIGKILL)
    raise AssertionError("the worker goes on")


def is_alive(pid):
    """Whether there is such a process, and it has not ended."""
    try:
        with open(f"/proc/{pid}/stat") as stream:
            return stream.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
