"""Measures what a step of several workers consists of, checks a model of it, and predicts the speed of up to 256.

python tests/benchmarks/scaling.py                  on this machine
python tests/benchmarks/scaling.py --networks       also over networks of limited bandwidth (Linux, as root)

The model is in docs/scaling.md. Networks are two network namespaces, whose connection tc limits.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Callable

import click
import numpy as np
from workers import COMMAND, SAMPLE_TEXT, time_of_steps, training_options

import seqlm_core as seqlm

MEGABIT = 1e6 / 8
RATES = (1000, 300, 100)
"""The limits of networks, in megabits a second."""
PROBE_BYTES = 30_000_000
NAMESPACES, ADDRESSES = ("seqlm-a", "seqlm-b"), ("10.77.31.1", "10.77.31.2")
HERE = "127.0.0.1"


@dataclasses.dataclass(frozen=True)
class Network:
    """How the machines of a job are connected.

    Attributes:
        bandwidth: of a machine's connection, bytes a second in each direction.
        servers: the number of servers.
        apart: whether servers have machines of their own; otherwise each is beside a worker, on its machine.
    """

    bandwidth: float
    servers: int
    apart: bool


@dataclasses.dataclass(frozen=True)
class StepModel:
    """The seconds of a step, made of what was measured.

    Attributes:
        begin: seconds of computing that do not depend on the number of windows.
        window: seconds of computing for each window.
        size: bytes of the gradients.
        exchange: seconds of an exchange of nothing.
        handling: seconds for each byte that a server receives, adds up and sends back.
    """

    begin: float
    window: float
    size: float
    exchange: float = 0.0
    handling: float = 0.0

    def computing(self, windows: int) -> float:
        return self.begin + self.window * windows

    def moving(self, workers: int, network: Network) -> float:
        """Return how long the gradients are on their way to the servers, and their sums on the way back."""
        share = self.size / network.servers
        if network.apart:
            most = max(self.size, workers * share)
        else:
            to_others = self.size - (share if network.servers >= workers else 0)
            most = max(to_others, (workers - 1) * share)
        return 2 * most / network.bandwidth

    def seconds(self, workers: int, windows: int, network: Network) -> float:
        """Return the time of a step of several workers, each of which reads so many windows."""
        handled = workers * self.size / network.servers
        return self.computing(windows) + self.exchange + self.handling * handled + self.moving(workers, network)


@dataclasses.dataclass(frozen=True)
class Measured:
    """A training to measure: of an LSTM with so many units, and windows of so many characters."""

    units: int
    length: int
    text: Path
    folder: Path
    steps: int
    rounds: int

    def alone(self, windows: int) -> float:
        """Return the median time of a step of one process."""
        command = [*COMMAND, *self._arguments(windows)]
        return self._median(lambda: subprocess.run(command, env=_environment(), check=True, stdout=subprocess.DEVNULL))

    def together(self, windows: int, places: dict[str, Sequence[int]], networked: bool = False) -> float:
        """Return the median time of a step of several workers.

        Args:
            windows: the number of windows of all workers.
            places: for each role, the machines of its processes: 0 or 1.
            networked: whether the machines are network namespaces; otherwise all is on this one.
        """
        command = [*COMMAND, *self._arguments(windows), "--kvstore", "dist_sync"]
        return self._median(lambda: _run_job(command, places, networked))

    def gradient_bytes(self) -> float:
        """Return the bytes of the gradients; run it after a measurement."""
        return 4.0 * sum(array.size for array in seqlm.LanguageRun(self.folder / "run").weights.values())

    def _arguments(self, windows: int) -> list[str]:
        return training_options(self.text, self.units, windows, self.length, self.steps, self.folder / "run")

    def _median(self, run: Callable[[], object]) -> float:
        found = []
        for _ in range(self.rounds):
            run()
            found.append(time_of_steps(self.folder / "run"))
        return statistics.median(found)

    def model(self, windows: Sequence[int]) -> StepModel:
        """Return the model of computing alone, by a line through the times for several numbers of windows."""
        window, begin = np.polyfit(windows, [self.alone(count) for count in windows], 1)
        return StepModel(float(begin), float(window), self.gradient_bytes())


def _environment(**variables: str) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", **variables}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HERE, 0))
        return int(probe.getsockname()[1])


def _run_job(command: Sequence[str], places: dict[str, Sequence[int]], networked: bool) -> None:
    port = str(_free_port() // 2)  # where the next one is free, too, most likely
    processes = []
    for role, machines in places.items():
        for number, machine in enumerate(machines):
            environment = _environment(
                DMLC_ROLE=role,
                DMLC_PS_ROOT_URI=ADDRESSES[0] if networked else HERE,
                DMLC_PS_ROOT_PORT=port,
                DMLC_NUM_WORKER=str(len(places["worker"])),
                DMLC_NUM_SERVER=str(len(places["server"])),
                DMLC_NODE_HOST=ADDRESSES[machine] if networked else HERE,
                DMLC_INTERFACE=f"seqlm-{machine}" if networked else "lo",
                **({"SEQLM_WORKER_NUMBER": str(number)} if role == "worker" else {}),
            )
            within = ["ip", "netns", "exec", NAMESPACES[machine]] if networked else []
            processes.append(subprocess.Popen([*within, *command], env=environment, stdout=subprocess.DEVNULL))
    try:
        codes = [process.wait() for process in processes]
    finally:
        for process in processes:
            process.kill()
    if any(codes):
        raise click.ClickException(f"a job failed, with exit codes {codes}")


@contextlib.contextmanager
def _connected() -> Iterator[None]:
    """Make two network namespaces that are connected."""
    _remove_namespaces()  # of a run that was killed
    try:
        _ip(f"netns add {NAMESPACES[0]}")
        _ip(f"netns add {NAMESPACES[1]}")
        _ip(f"link add seqlm-0 netns {NAMESPACES[0]} type veth peer name seqlm-1 netns {NAMESPACES[1]}")
        for machine, (namespace, address) in enumerate(zip(NAMESPACES, ADDRESSES)):
            _ip(f"-n {namespace} addr add {address}/24 dev seqlm-{machine}")
            _ip(f"-n {namespace} link set seqlm-{machine} up")
            _ip(f"-n {namespace} link set lo up")
        yield
    finally:
        _remove_namespaces()


def _remove_namespaces() -> None:
    for namespace in NAMESPACES:
        subprocess.run(["ip", "netns", "del", namespace], check=False, stderr=subprocess.DEVNULL)


def _ip(arguments: str) -> None:
    subprocess.run(["ip", *arguments.split()], check=True)


def _limit(megabits: int) -> None:
    """Limit what each of the two machines sends."""
    burst = max(megabits * 1_000_000 // 8 // 250, 65_536)  # what the kernel's clock of 250 Hz needs
    for machine, namespace in enumerate(NAMESPACES):
        limit = f"tc qdisc replace dev seqlm-{machine} root tbf rate {megabits}mbit burst {burst} latency 400ms"
        subprocess.run(["ip", "netns", "exec", namespace, *limit.split()], check=True)


def _bandwidth() -> float:
    """Return how many bytes a second go from one of the machines to the other."""
    receive = (
        f"import socket, time; listening = socket.create_server(('{ADDRESSES[0]}', 5555)); print(flush=True)\n"
        "connection, _ = listening.accept(); begin = time.perf_counter(); size = 0\n"
        "while part := connection.recv(1 << 20): size += len(part)\n"
        "print(size / (time.perf_counter() - begin))"
    )
    send = f"import socket; socket.create_connection(('{ADDRESSES[0]}', 5555)).sendall(bytes({PROBE_BYTES}))"
    within = [["ip", "netns", "exec", namespace, sys.executable, "-c"] for namespace in NAMESPACES]
    receiver = subprocess.Popen([*within[0], receive], stdout=subprocess.PIPE, text=True)
    if receiver.stdout is None:
        raise TypeError("the receiver has no output")
    receiver.stdout.readline()
    subprocess.run([*within[1], send], check=True)
    found = float(receiver.stdout.read())
    receiver.wait()
    return found


def _check(measured: Measured, model: StepModel) -> None:
    """Print measured times of steps over networks, beside those of the model."""
    layouts = {
        "a server beside one worker": ([0], [0, 1], False),
        "a server apart": ([0], [1, 1], True),
        "a server beside each worker": ([0, 1], [0, 1], False),
    }
    print("\n| network | servers | ms a step | by the model | difference |\n| --- | --- | ---: | ---: | ---: |")
    with _connected():
        for megabits in RATES:
            _limit(megabits)
            bandwidth = _bandwidth()
            for name, (servers, workers, apart) in layouts.items():
                places = {"scheduler": [0], "server": servers, "worker": workers}
                time = measured.together(64, places, networked=True)
                predicted = model.seconds(2, 32, Network(bandwidth, len(servers), apart))
                print(
                    f"| {bandwidth / MEGABIT:.0f} Mbit/s | {name} | {1e3 * time:.0f} | {1e3 * predicted:.0f} | "
                    f"{100 * (predicted / time - 1):+.0f} % |",
                    flush=True,
                )


@click.command(help=__doc__)
@click.option("--networks", is_flag=True, help="Also measure over networks of limited bandwidth.")
@click.option("--steps", type=click.IntRange(min=2), default=12, show_default=True, help="Steps to measure.")
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True, help="Medians of so many rounds.")
def main(networks: bool, steps: int, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "text.txt"
        text.write_text(SAMPLE_TEXT.read_text(encoding="utf-8") * 40, encoding="utf-8")
        small = Measured(512, 50, text, Path(folder), steps, rounds)
        large = Measured(1024, 25, text, Path(folder), steps, rounds)
        models = {measured: measured.model((16, 32, 64)) for measured in (small, large)}
        # Of what two workers on one machine take longer than one alone, some for each exchange, some for each byte.
        together = {"scheduler": [0], "server": [0], "worker": [0, 0]}
        extra = {m: m.together(64, together) - model.computing(32) for m, model in models.items()}
        handling = (extra[large] - extra[small]) / (models[large].size - models[small].size) / 2
        exchange = max(0.0, extra[small] - 2 * handling * models[small].size)
        handling = max(0.0, extra[large] - exchange) / models[large].size / 2
        models = {m: dataclasses.replace(model, handling=handling, exchange=exchange) for m, model in models.items()}
        for measured, model in models.items():
            print(
                f"{measured.units} units, windows of {measured.length}: {1e3 * model.begin:.1f} ms and "
                f"{1e3 * model.window:.2f} ms a window; {model.size / 1e6:.1f} MB of gradients"
            )
        print(f"an exchange: {1e3 * exchange:.1f} ms and {1e9 * handling:.2f} ms a megabyte", flush=True)
        if networks:
            _check(large, models[large])
        _print_predictions(models[small], models[large])


def _print_predictions(small: StepModel, large: StepModel) -> None:
    columns = [
        (f"{title}, {gigabits} Gbit/s, {layout}", model, 1e3 * gigabits * MEGABIT, layout)
        for title, model in (("small", small), ("large", large))
        for gigabits in (1, 10)
        for layout in ("one server", "one beside each worker")
    ]
    print(f"\n| workers | {' | '.join(column[0] for column in columns)} |\n| ---: |{' ---: |' * len(columns)}")
    for workers in (2, 4, 8, 16, 32, 64, 128, 256):
        found = []
        for _, model, bandwidth, layout in columns:
            network = Network(bandwidth, 1 if layout == "one server" else workers, apart=layout == "one server")
            found.append(model.computing(64) / model.seconds(workers, 64, network))
        print(f"| {workers} | {' | '.join(f'{100 * share:.0f} %' for share in found)} |")


if __name__ == "__main__":
    main()
