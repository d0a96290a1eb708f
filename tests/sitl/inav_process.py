"""A real iNav as a process: started on a file of its own, set up by the shipped snippet over its CLI, asked by MSP."""

from __future__ import annotations

import contextlib
import fcntl
import signal
import socket
import struct
import subprocess
import time
from pathlib import Path

from gps_denied_onboard.autopilot.msp.messages import MspParser, packed

FIRST_UART_PORT = 5760
COMPANION_UART = 1  # as the CLI counts them: UART2
SNIPPET = Path(__file__).resolve().parents[2] / "_docs" / "autopilot" / "inav-cli.txt"
SIMULATED_AIRCRAFT = (
    f"serial {COMPANION_UART} 1 115200 115200 0 115200",
    "set pitot_hardware = FAKE",
    "set receiver_type = SIM (SITL)",
    "set platform_type = AIRPLANE",
)
"""What the simulator needs beside the snippet: the companion's port, a pitot tube, no receiver, wings."""
READY_S = 30.0
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1


def loopback_up() -> None:
    """Bring up the loopback of a fresh network namespace; iNav listens on all interfaces, so it gets no others."""
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as probe:
        request = struct.pack("16sH14x", b"lo", 0)
        flags = struct.unpack("16sH14x", fcntl.ioctl(probe, _SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(probe, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | _IFF_UP))


class Inav:
    """The simulator program, its settings in `folder`, its sensors from an X-Plane at `sim_port` (None: at rest)."""

    def __init__(self, program: str, folder: Path, sim_port: int | None) -> None:
        self._log = (folder / "inav.log").open("w")
        sim = [] if sim_port is None else ["--sim=xp", f"--simport={sim_port}"]
        self._process = subprocess.Popen(
            [program, f"--path={folder / 'eeprom.bin'}", *sim],
            stdout=self._log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            restore_signals=False,  # Python ignores SIGPIPE, and so must it: it writes to peers that have gone
        )

    def set_up(self) -> str:
        """Paste the shipped snippet and what a simulator needs into the CLI, which ends by a reboot; what it said."""
        shipped = SNIPPET.read_text(encoding="utf-8").splitlines()
        assert shipped[-1] == "save"
        said = self._cli([*SIMULATED_AIRCRAFT, *shipped])
        self.wait_ready()
        return said

    def settings(self, names: list[str]) -> dict[str, str]:
        """Settings as the CLI shows them; leaving it reboots."""
        said = self._cli([*(f"get {name}" for name in names), "exit"])
        lines = [line.split(" = ", 1) for line in said.splitlines() if " = " in line]
        self.wait_ready()
        return {name: value.strip() for name, value in lines}

    def wait_ready(self) -> None:
        """Until it answers MSP, after a start or a reboot."""
        end = time.monotonic() + READY_S
        while time.monotonic() < end:
            assert self._process.poll() is None, "the simulator has ended; see inav.log"
            with contextlib.suppress(OSError), contextlib.closing(Msp()) as msp:
                if msp.ask(1) is not None:
                    return
            time.sleep(0.2)
        raise AssertionError("the simulator does not answer MSP; see inav.log")

    def close(self) -> None:
        """End it, however it takes that."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout=5.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def _cli(self, lines: list[str]) -> str:
        said = b""
        self.wait_ready()
        with contextlib.closing(_connected()) as link:
            link.sendall(b"#")
            said += _until_prompt(link)
            for line in lines:
                link.sendall(line.encode("ascii") + b"\r\n")
                said += _until_prompt(link)
        return said.decode("ascii", "replace")


class Msp:
    """A second MSP connection, on UART1: the ground's view of the autopilot."""

    def __init__(self) -> None:
        self._link = _connected()
        self._parser = MspParser()

    def ask(self, function: int, payload: bytes = b"", timeout_s: float = 1.0) -> bytes | None:
        """The answer to a question; None when none came in time."""
        end = time.monotonic() + timeout_s
        self._link.sendall(packed(function, payload))
        while (left := end - time.monotonic()) > 0.0:
            self._link.settimeout(left)
            try:
                data = self._link.recv(4096)
            except TimeoutError:
                return None
            if not data:
                raise ConnectionResetError("iNav hung up")
            for frame in self._parser.feed(data):
                if frame.function == function:
                    return None if frame.refused else frame.payload
        return None

    def close(self) -> None:
        self._link.close()


def _connected() -> socket.socket:
    link = socket.create_connection(("127.0.0.1", FIRST_UART_PORT), timeout=2.0)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return link


def _until_prompt(link: socket.socket, timeout_s: float = 3.0) -> bytes:
    """What the CLI says until it is quiet after its prompt, or hangs up to reboot."""
    said, end = b"", time.monotonic() + timeout_s
    link.settimeout(0.3)
    while time.monotonic() < end:
        try:
            data = link.recv(4096)
        except TimeoutError:
            if said.endswith(b"# "):
                break
            continue
        except ConnectionResetError:
            break
        if not data:
            break
        said += data
    return said
