"""Faults on request, drawn from a seed: late, refused, broken and lost answers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any

from gps_denied_onboard.errors import UserError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
BURST = 3
SLOW_PARTS = 20


@dataclass(frozen=True, slots=True)
class Faults:
    """Share of requests (0 to 1) that meet each fault; `latency_s` is added to all, `retry_after_s` told with 429.

    too_many: 429 with seconds. too_many_date: 429 with an HTTP-date. server_error: begins a burst of three 503.
    truncate: the body ends early. slow: the body comes in dribbles over `slow_s`. lost_answer: the request is done,
    its answer is 503. garbage: 200 with bytes that are no answer. off_at: no faults from this many requests on.
    """

    latency_s: float = 0.0
    retry_after_s: float = 1.0
    slow_s: float = 2.0
    too_many: float = 0.0
    too_many_date: float = 0.0
    server_error: float = 0.0
    truncate: float = 0.0
    slow: float = 0.0
    lost_answer: float = 0.0
    garbage: float = 0.0
    off_at: float = float("inf")

    @classmethod
    def parse(cls, options: Sequence[str]) -> Faults:
        """Return the faults of `name=number` options; UserError names what there is."""
        known = [field.name for field in fields(cls)]
        made = cls()
        for option in options:
            name, _, value = option.partition("=")
            try:
                number = float(value)
            except ValueError:
                number = -1.0
            if name not in known or number < 0.0:
                raise UserError(f"--fault {option}: give NAME=NUMBER with NAME one of {', '.join(known)}.")
            made = replace(made, **{name: number})
        return made


class FaultyApp:
    """An ASGI application in front of another one. `spare`: end of a path that no fault may meet, empty for none."""

    def __init__(self, app: App, faults: Faults, seed: int, now: Callable[[], datetime]) -> None:
        self.inner, self._faults, self._now = app, faults, now
        self.spare = ""
        self._random = random.Random(seed)
        self._burst = 0
        self.requests = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.inner(scope, receive, send)
            return
        self.requests += 1
        if self.requests > self._faults.off_at or (self.spare and scope["path"].endswith(self.spare)):
            await self.inner(scope, receive, send)
            return
        if self._faults.latency_s:
            await asyncio.sleep(self._faults.latency_s)
        fault = self._drawn()
        if fault == "too_many":
            await _answer(send, 429, [(b"retry-after", f"{self._faults.retry_after_s:g}".encode())])
        elif fault == "too_many_date":
            moment = self._now() + timedelta(seconds=self._faults.retry_after_s)
            await _answer(send, 429, [(b"retry-after", format_datetime(moment, usegmt=True).encode())])
        elif fault == "server_error":
            await _answer(send, 503, [])
        elif fault == "garbage":
            await _answer(send, 200, [(b"content-type", b"application/json")], b"\x00<html>{not an answer")
        elif fault == "lost_answer":
            await self.inner(scope, receive, _swallow)
            await _answer(send, 503, [])
        else:
            await self.inner(scope, receive, _Cut(send, fault, self._faults.slow_s))

    def _drawn(self) -> str:
        if self._burst > 0:
            self._burst -= 1
            return "server_error"
        chance = self._random.random()
        for name in ("too_many", "too_many_date", "server_error", "truncate", "slow", "lost_answer", "garbage"):
            chance -= getattr(self._faults, name)
            if chance < 0.0:
                self._burst = BURST - 1 if name == "server_error" else 0
                return name
        return ""


class _Cut:
    """Passes an answer on, its body cut in half or slowly."""

    def __init__(self, send: Send, fault: str, slow_s: float) -> None:
        self._send, self._fault, self._slow_s = send, fault, slow_s

    async def __call__(self, message: Message) -> None:
        body = bytes(message.get("body", b""))
        if message["type"] != "http.response.body" or self._fault not in {"truncate", "slow"} or len(body) < 2:
            await self._send(message)
        elif self._fault == "truncate":
            await self._send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": False})
        else:
            step = max(len(body) // SLOW_PARTS, 1)
            for start in range(0, len(body), step):
                await self._send({"type": "http.response.body", "body": body[start : start + step], "more_body": True})
                await asyncio.sleep(self._slow_s / SLOW_PARTS)
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})


async def _answer(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes = b"{}") -> None:
    content = [*headers, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": content})
    await send({"type": "http.response.body", "body": body})


async def _swallow(_message: Message) -> None:
    return None
