"""Byte links that never block: UDP, TCP, serial; and one that is opened again when it dies.

pymavlink's own connections sleep and print while they reconnect, so only its parser and packer are used.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias

from gps_denied_onboard.errors import UserError

RETRY_NS = 1_000_000_000
MAX_PENDING_BYTES = 4096
_READ_BYTES = 65536
_MAX_DATAGRAMS = 256
_UNREACHABLE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL)
_LATER = (errno.EAGAIN, errno.EWOULDBLOCK, errno.EINPROGRESS)


Peer: TypeAlias = tuple[str, int]
"""Address and port of somebody who sends datagrams."""


class Transport(Protocol):
    """An open link. Every method returns at once and raises OSError when the link is dead."""

    def send(self, data: bytes) -> int:
        """Bytes that were taken, from the start of `data`."""
        ...

    def receive(self) -> bytes:
        """What has arrived, b"" for nothing."""
        ...

    def close(self) -> None: ...


class UdpTransport:
    """Datagrams to and from one address; or, when bound, from anybody, and to whom `answer` or `hold` name.

    Not bound, the socket is connected: the kernel passes on only what comes from that address. Bound, nothing is sent
    before somebody who may be answered was named.
    """

    def __init__(self, address: tuple[str, int], *, bind: bool) -> None:
        address = (socket.gethostbyname(address[0]), address[1])
        self._bound = bind
        self._held: Peer | None = None if bind else address
        self._answered: tuple[Peer, ...] = ()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            if bind:
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                self._socket.bind(address)
            else:
                self._connect(address)
        except OSError:
            self._socket.close()
            raise

    def answer(self, peers: Sequence[Peer]) -> None:
        """From now on send to each of these, and go on listening to everybody."""
        if self._bound and self._held is None:
            self._answered = tuple(peers)

    def hold(self, peer: Peer) -> None:
        """From now on speak with this one alone: the kernel passes on nothing else."""
        if self._bound and self._held is None:
            self._held = peer
            self._connect(peer)

    def _connect(self, peer: Peer) -> None:
        try:
            self._socket.connect(peer)
        except OSError as error:  # no way there yet: datagrams are sent by name until there is one
            if error.errno not in _UNREACHABLE:
                raise

    def send(self, data: bytes) -> int:
        for peer in self._answered if self._held is None else (self._held,):
            try:
                self._socket.sendto(data, peer)
            except OSError as error:
                if error.errno not in (*_LATER, errno.ECONNREFUSED, *_UNREACHABLE):
                    raise
        return len(data)  # a datagram is gone or lost, never half sent

    def receive(self) -> bytes:
        return b"".join(data for _, data in self.receive_from())

    def receive_from(self) -> list[tuple[Peer, bytes]]:
        """The datagrams that have arrived, each with its sender; with one that is held only those of that one."""
        parts: list[tuple[Peer, bytes]] = []
        for _ in range(_MAX_DATAGRAMS):
            try:
                data, peer = self._socket.recvfrom(_READ_BYTES)
            except OSError as error:
                if error.errno == errno.ECONNREFUSED:
                    continue
                if error.errno in (*_LATER, *_UNREACHABLE):
                    break
                raise
            if self._held is None or peer == self._held:  # what arrived before it was held may still wait here
                parts.append((peer, data))
        return parts

    def close(self) -> None:
        self._socket.close()


class TcpTransport:
    """A stream to a listening peer; connects in the background of the calls."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._connected = False
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            self._socket.setblocking(False)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            code = self._socket.connect_ex(address)
            if code not in (0, *_LATER):
                raise OSError(code, f"cannot connect to {address[0]}:{address[1]}")
        except OSError:
            self._socket.close()
            raise

    def send(self, data: bytes) -> int:
        if not self._ready():
            return 0
        try:
            return self._socket.send(data)
        except OSError as error:
            if error.errno in _LATER:
                return 0
            raise

    def receive(self) -> bytes:
        if not self._ready():
            return b""
        try:
            data = self._socket.recv(_READ_BYTES)
        except OSError as error:
            if error.errno in _LATER:
                return b""
            raise
        if not data:
            raise ConnectionResetError(errno.ECONNRESET, "the peer closed the connection")
        return data

    def close(self) -> None:
        self._socket.close()

    def _ready(self) -> bool:
        if not self._connected:
            if not select.select([], [self._socket], [], 0)[1]:
                return False
            code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                raise OSError(code, "connection refused")
            self._connected = True
        return True


class SerialTransport:
    """A serial port, 8N1, no flow control."""

    def __init__(self, device: str, baud: int) -> None:
        import serial

        self._port: Any = serial.Serial(device, baud, timeout=0, write_timeout=0)

    def send(self, data: bytes) -> int:
        try:
            return os.write(self._port.fileno(), data)  # Serial.write spins while the buffer is full
        except OSError as error:
            if error.errno in _LATER:
                return 0
            raise

    def receive(self) -> bytes:
        return bytes(self._port.read(_READ_BYTES))

    def close(self) -> None:
        self._port.close()


def opener(address: str) -> Callable[[], Transport]:
    """What opens the link that `address` names.

    `udpout:HOST:PORT` sends there and hears nobody else, `udpin:HOST:PORT` (or `udp:`) listens, `tcp:HOST:PORT`
    connects, `DEVICE,BAUD` or `serial:DEVICE:BAUD` is a port. UserError where the address is none of these.
    """
    scheme, _, rest = address.partition(":")
    if scheme in ("udpout", "udpin", "udp", "tcp"):
        host, _, port = rest.rpartition(":")
        if not host or not port.isascii() or not port.isdigit() or len(port) > 5 or not 0 < int(port) < 65536:
            raise UserError(f"link '{address}' must be {scheme}:HOST:PORT, for example {scheme}:127.0.0.1:14550.")
        endpoint = (host, int(port))
        if scheme == "tcp":
            return lambda: TcpTransport(endpoint)
        return lambda: UdpTransport(endpoint, bind=scheme != "udpout")
    device, separator, baud = rest.rpartition(":") if scheme == "serial" else address.rpartition(",")
    if not separator or not device or not baud.isascii() or not baud.isdigit() or len(baud) > 9 or int(baud) == 0:
        raise UserError(
            f"link '{address}' is not known; use udpout:HOST:PORT, udpin:HOST:PORT, tcp:HOST:PORT or DEVICE,BAUD, "
            "for example /dev/ttyACM0,115200."
        )
    return lambda: SerialTransport(device, int(baud))


class ReopeningLink:
    """A link that is opened again, at most once in RETRY_NS, when it dies or could not be opened yet.

    What is sent while it is dead is dropped and counted: a late position is worth nothing. Packets are never cut.
    `on_sent` is called with each packet that is not dropped, for the recorder.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._open = opener(address)
        self._transport: Transport | None = None
        self._retry_at_ns: int | None = None
        self._pending = b""
        self.opened = 0
        self.dropped_packets = 0
        self.last_error = ""
        self.on_sent: Callable[[int, bytes], None] = lambda _now_ns, _packet: None

    @property
    def alive(self) -> bool:
        """Whether the link is open, as far as is known."""
        return self._transport is not None

    def send(self, now_ns: int, packet: bytes) -> bool:
        """Send a whole packet, or drop it; tells which."""
        transport = self._ready(now_ns)
        if transport is None or len(self._pending) + len(packet) > MAX_PENDING_BYTES:
            self.dropped_packets += 1
            return False
        self._pending += packet
        self.on_sent(now_ns, packet)
        return self._push(now_ns, transport)

    def receive(self, now_ns: int) -> bytes:
        """What has arrived; b"" while the link is dead. Also sends on what is still waiting."""
        return b"".join(data for _, data in self.receive_from(now_ns))

    def receive_from(self, now_ns: int) -> list[tuple[Peer | None, bytes]]:
        """The same in the pieces that came, each with its sender; None for a stream, which has only one end."""
        transport = self._ready(now_ns)
        if transport is None:
            return []
        parts: list[tuple[Peer | None, bytes]] = []
        try:
            if isinstance(transport, UdpTransport):
                parts.extend(transport.receive_from())
            elif data := transport.receive():
                parts.append((None, data))
        except OSError as error:
            self._died(now_ns, error)
            return []
        if self._pending:
            self._push(now_ns, transport)
        return parts

    def answer(self, peers: Sequence[Peer]) -> None:
        """Send to these from now on, where the link listens."""
        if isinstance(self._transport, UdpTransport):
            self._transport.answer(peers)

    def hold(self, peer: Peer) -> None:
        """Speak with this one alone from now on, where the link listens."""
        if isinstance(self._transport, UdpTransport):
            self._transport.hold(peer)

    def release(self) -> None:
        """Listen to everybody again, where the link listens: opened anew at the next call."""
        if isinstance(self._transport, UdpTransport):
            self.close()
            self._retry_at_ns = None

    def close(self) -> None:
        """Close the link; a second call does nothing."""
        if self._transport is not None:
            with contextlib.suppress(OSError):
                self._transport.close()
        self._transport = None

    def _push(self, now_ns: int, transport: Transport) -> bool:
        try:
            self._pending = self._pending[transport.send(self._pending) :]
        except OSError as error:
            self._died(now_ns, error)
            return False
        return True

    def _ready(self, now_ns: int) -> Transport | None:
        if self._transport is None and (self._retry_at_ns is None or now_ns >= self._retry_at_ns):
            try:
                self._transport = self._open()
                self.opened += 1
            except OSError as error:
                self._died(now_ns, error)
        return self._transport

    def _died(self, now_ns: int, error: OSError) -> None:
        self.last_error = error.strerror or str(error)
        self.dropped_packets += bool(self._pending)
        self._pending = b""
        self._retry_at_ns = now_ns + RETRY_NS
        self.close()
