"""How the processes of a job notice each other's end; all of them are threads here."""

from __future__ import annotations

import contextlib
import queue
import socket
import threading

import pytest

from seqlm_core.errors import SeqlmError, UsageError
from seqlm_core.workers import watch as watching
from seqlm_core.workers.environment import Job
from seqlm_core.workers.watch import Watch, Watcher

JOIN = 2.0
VARIABLES = {
    "DMLC_ROLE": "worker", "DMLC_PS_ROOT_URI": "127.0.0.1", "DMLC_PS_ROOT_PORT": "9000", "DMLC_NUM_WORKER": "2",
    "DMLC_NUM_SERVER": "1",
}  # fmt: skip


class JobOfThreads:
    """A job whose processes are watches in this process, and what each was told at its end."""

    def __init__(self, workers=2, servers=1, timeout=JOIN):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.sizes = workers, servers
        self.ends = queue.Queue()
        self.watcher = Watcher(self.of("scheduler"), timeout, lambda *end: self.ends.put(("scheduler", *end)))
        self.watches = {}

    def of(self, role, number=None):
        return Job(role, "127.0.0.1", 1, self.port, *self.sizes, number)

    def join(self, *roles):
        """Let processes join at the same time; each waits for all others."""

        def begin(name, role, number):
            with contextlib.suppress(SeqlmError):
                end = lambda *told: self.ends.put((name, *told))  # noqa: E731
                self.watches[name] = Watch(self.of(role, number), JOIN, end)

        threads = [threading.Thread(target=begin, args=(f"{role} {number}", role, number)) for role, number in roles]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(JOIN)

    def all_join(self):
        workers, servers = self.sizes
        self.join(*(("worker", k) for k in range(workers)), *(("server", None) for _ in range(servers)))

    def told(self, count):
        return {name: (error, code) for name, error, code in (self.ends.get(timeout=20) for _ in range(count))}

    def break_off(self, name):
        """End a process as a kill does: its connection is closed."""
        self.watches[name]._leaves.set()
        self.watches[name]._line.close()


@pytest.fixture
def job():
    return JobOfThreads()


def test_processes_get_the_numbers_that_they_ask_for(job):
    job.all_join()
    assert {name: watch.number for name, watch in job.watches.items()} == {
        "worker 0": 0,
        "worker 1": 1,
        "server None": 0,
    }


def test_processes_without_a_wish_get_all_numbers():
    job = JobOfThreads(workers=1, servers=3)
    job.watches = {}
    ready = []

    def begin():
        ready.append(Watch(job.of("server"), JOIN, lambda *end: None).number)

    threads = [threading.Thread(target=begin) for _ in range(3)]
    for thread in threads:
        thread.start()
    job.join(("worker", None))
    for thread in threads:
        thread.join(JOIN)
    assert sorted(ready) == [0, 1, 2]


@pytest.mark.parametrize("victim", ["worker 0", "worker 1", "server None"])
def test_all_others_are_told_who_has_died(job, victim):
    job.all_join()
    job.break_off(victim)
    told = job.told(3)
    assert set(told) == {"scheduler", *job.watches} - {victim}
    assert all(error.startswith(victim.replace("None", "0")) and error.endswith("died") for error, _ in told.values())
    assert {code for _, code in told.values()} == {1}


def test_the_death_of_the_scheduler_is_noticed(job):
    job.all_join()
    for line in list(job.watcher._lines.values()):
        line.close()
    told = job.told(3)
    assert {told[name] for name in job.watches} == {("the scheduler died", 1)}


def test_a_process_that_says_nothing_any_more_is_dead(monkeypatch):
    """As one whose machine is gone: its connection stays open."""
    monkeypatch.setattr(watching, "SECONDS_OF_SILENCE", 1.0)
    monkeypatch.setattr(watching, "SECONDS_BETWEEN_SIGNS", 0.2)
    job = JobOfThreads()
    job.all_join()
    monkeypatch.setattr(job.watches["worker 1"]._line, "send", lambda message: None)
    told = job.told(4)
    assert told.pop("worker 1") == ("the scheduler died", 1)  # which is what such a machine sees
    assert all(error.startswith("worker 1") and error.endswith("died") for error, _ in told.values())


def test_an_error_of_one_process_is_that_of_all(job):
    job.all_join()
    job.watches["worker 1"].fail("the text is too short", 2)
    told = job.told(3)
    assert set(told) == {"scheduler", "worker 0", "server None"}
    assert all(
        error.startswith("worker 1 ") and error.endswith(": the text is too short") for error, _ in told.values()
    )
    assert {code for _, code in told.values()} == {2}


def test_nobody_is_told_when_a_job_ends_as_it_should(job):
    job.all_join()
    for name in ("worker 0", "worker 1"):
        job.watches[name].leave()
        job.break_off(name)
    job.break_off("server None")
    with pytest.raises(queue.Empty):
        job.ends.get(timeout=0.5)


def test_the_same_facts_let_all_go_on_again_and_again(job):
    job.all_join()
    for step in range(3):
        facts = {"texts": "abc", "step": str(step)}
        threads = [threading.Thread(target=job.watches[f"worker {k}"].check_same, args=(facts,)) for k in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(JOIN)
            assert not thread.is_alive()


def test_facts_that_differ_end_the_job(job):
    job.all_join()
    for number, digest in enumerate(("abc", "xyz")):
        facts = {"version": "1", "texts": digest}
        threading.Thread(target=job.watches[f"worker {number}"].check_same, args=(facts,), daemon=True).start()
    (error, _), *others = job.told(4).values()
    assert error.startswith("the workers differ in texts: worker 0 (")
    assert "has abc, worker 1 (" in error
    assert error.endswith("has xyz")
    assert {other for other, _ in others} == {error}


def test_who_does_not_join_is_named():
    job = JobOfThreads(workers=3, timeout=0.5)
    job.join(("worker", 1))
    error, _ = job.told(2)["scheduler"]
    assert error.startswith("2 of 3 workers and 1 of 1 servers did not join within 0.5 s; there are worker 1 (process ")


def test_one_worker_too_many_is_refused(job):
    job.all_join()
    job.join(("worker", 0))
    assert "the job has all of its 2 workers already" in job.told(1)["worker 0"][0]


def test_a_scheduler_that_is_not_there_is_named(monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(SeqlmError, match=f"the scheduler at 127.0.0.1, port {port}, cannot be reached within 0.3 s"):
        Watch(Job("worker", "127.0.0.1", 1, port, 2, 1), 0.3)


def test_a_port_in_use_is_named(job):
    with pytest.raises(SeqlmError, match=f"port {job.port} cannot be used: Address already in use"):
        Watcher(job.of("scheduler"), JOIN)


def test_the_environment_describes_a_job():
    job = Job.of_environment({**VARIABLES, "SEQLM_WORKER_NUMBER": "1"})
    assert job == Job("worker", "127.0.0.1", 9000, 9001, 2, 1, 1)
    assert Job.of_environment({**VARIABLES, "DMLC_ROLE": "server", "SEQLM_WATCH_PORT": "7"}).watch_port == 7


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"DMLC_ROLE": None},
            "DMLC_ROLE is not set; a job of several processes needs scheduler, server or worker",
        ),
        ({"DMLC_ROLE": "chief"}, "DMLC_ROLE is 'chief'"),
        ({"DMLC_PS_ROOT_URI": None}, "DMLC_PS_ROOT_URI is not set"),
        ({"DMLC_PS_ROOT_PORT": "http"}, "DMLC_PS_ROOT_PORT is 'http'; it must be a whole number from 1 to 65535"),
        ({"DMLC_NUM_WORKER": "0"}, "DMLC_NUM_WORKER is '0'"),
        ({"DMLC_NUM_SERVER": None}, "DMLC_NUM_SERVER is not set, and a job of several processes needs it"),
        ({"SEQLM_WORKER_NUMBER": "2"}, "SEQLM_WORKER_NUMBER is '2'; it must be a whole number from 0 to 1"),
    ],
)
def test_an_environment_that_describes_no_job_is_told(change, message):
    environment = {name: value for name, value in {**VARIABLES, **change}.items() if value is not None}
    with pytest.raises(UsageError, match=message):
        Job.of_environment(environment)
