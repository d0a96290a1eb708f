"""HTTP as the tile manager speaks it: TLS, timeouts everywhere, bounded answers, one retry schedule.

429 obeys Retry-After (seconds and HTTP-date); 5xx, timeouts and broken answers back off with jitter, capped; TLS
errors, 401, 403 and other 4xx fail at once.

A download's tiles come through `plain_get`, a third of httpx's work for each of so many small answers (decision 0010);
everything else, and everything where a proxy stands in between, goes through httpx. Either way one deadline stands
over each whole answer (answer_deadline), and one over all of a run, which grows with what came.
"""

from __future__ import annotations

import logging
import ssl
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
import stamina

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.untrusted import UntrustedError
from gps_denied_onboard.untrusted.text import shown as told
from gps_denied_operator.tiles.answer_deadline import (
    AnswerTooLargeError,
    AnswerTooLateError,
    DeadlineHttpx,
    WholeAnswer,
)
from gps_denied_operator.tiles.plain_get import PlainGets

log = logging.getLogger(__name__)

BODY_BYTES_MAX = 64 * 1024 * 1024
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
T = TypeVar("T")


class ProviderRefusedError(UserError):
    """The provider, or the way to it, says no; trying again does not help."""


class ProviderKeyRefusedError(ProviderRefusedError):
    """The key is missing or not accepted (401, 403)."""


class ProviderUnavailableError(UserError):
    """All tries failed. `next_retry_at_s`: Unix time before which another run is pointless."""

    def __init__(self, message: str, next_retry_at_s: float) -> None:
        super().__init__(message)
        self.next_retry_at_s = next_retry_at_s


class _TryAgainError(Exception):
    """One try failed; `wait_s` is what the server asked for, None where it said nothing."""

    def __init__(self, why: str, wait_s: float | None = None) -> None:
        super().__init__(why)
        self.wait_s = wait_s


@dataclass(frozen=True, slots=True)
class RetrySchedule:
    """The in-call budget: `attempts` tries, waits of min(base**n, cap) and jitter; a too long Retry-After ends it.

    timeout_s: of each wait for the network; body_timeout_s: of one try from the connection to the last of the body.
    """

    attempts: int = 6
    wait_first_s: float = 0.2
    wait_base: float = 2.0
    wait_cap_s: float = 20.0
    retry_after_cap_s: float = 60.0
    timeout_s: float = 20.0
    body_timeout_s: float = 60.0
    asked_waits_max_s: float = 1800.0
    """Of all waits together that a server asked for: then another run is to go on, and the store is free until then."""
    run_s: float = 600.0
    run_s_per_answer: float = 2.0
    run_bytes_per_s: float = 10_000.0
    """All connections together may wait `run_s` in a run, and more for each answer that came and for its bytes."""


class HttpClient:
    """One server. Threads may share it. Use as a context manager, or close it."""

    def __init__(
        self, base_url: str, headers: Mapping[str, str], ca_file: Path | None, schedule: RetrySchedule, connections: int
    ) -> None:
        """Check the address and the CA file; UserError where they cannot be used."""
        parts = urlsplit(base_url)
        local = parts.hostname in LOOPBACK
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise UserError(f"'{shown(base_url)}' is not an address; give https://HOST or https://HOST:PORT.")
        if parts.scheme == "http" and not local and headers:
            raise UserError(f"{shown(base_url)} is not encrypted and would carry your key; give an https address.")
        try:
            if ca_file:
                verify = ssl.create_default_context(cafile=str(ca_file))
            elif parts.scheme == "https":
                verify = httpx.create_ssl_context()
            else:
                verify = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # not asked, and trusts nobody
        except (OSError, ssl.SSLError) as error:
            raise UserError(f"{ca_file} is not a file of CA certificates ({error}); give one in PEM.") from error
        stamina.instrumentation.set_on_retry_hooks([_log_retry])  # its own hook writes to stdout
        logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs addresses, which may hold a token
        self.shown = shown(base_url)
        self._schedule = schedule
        self._asked_waits_s = 0.0
        self._connections, self._counted = connections, threading.Lock()
        self._run_left_s = schedule.run_s
        agent = f"python-httpx/{httpx.__version__}"
        sent = {"accept-encoding": "identity", "user-agent": agent, **headers}
        try:
            base = httpx.URL(base_url)
        except httpx.InvalidURL as error:
            raise UserError(f"{self.shown}: not an address that can be asked ({error}); correct it.") from error
        self._client = DeadlineHttpx(lambda: httpx.AsyncClient(
            base_url=base, headers=sent, verify=verify, trust_env=not local,
            timeout=httpx.Timeout(schedule.timeout_s), follow_redirects=False,
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
        ))  # fmt: skip
        self._plain: PlainGets | None = None
        if not parts.username and (local or _no_proxy(parts.scheme, parts.hostname)):
            told = {"user-agent": agent, "accept": "*/*", **headers}
            tls = verify if parts.scheme == "https" else None
            self._plain = PlainGets(parts.hostname, parts.port, told, tls, schedule.timeout_s)
        self._prefix = parts.path.rstrip("/")

    def close(self) -> None:
        self._client.close()
        if self._plain is not None:
            self._plain.close()

    def get(self, path: str, bytes_max: int = BODY_BYTES_MAX) -> bytes | None:
        """Return a body, None for 404."""
        return self._tried(lambda: self._once("GET", path, bytes_max, (200,), None), f"GET {self.shown}")

    def post(self, path: str, expect: int, read: Callable[[bytes], T], **content: Any) -> T:
        """Post and return what `read` makes of the body; its ValueError or UntrustedError counts as a broken answer."""

        def once() -> T:
            body = self._once("POST", path, BODY_BYTES_MAX, (expect, 200), content)
            if body is None:
                raise ProviderRefusedError(f"{self.shown}{path} does not exist there; check the address.")
            try:
                return read(body)
            except (UntrustedError, ValueError) as error:
                raise _TryAgainError(f"an answer that cannot be read ({type(error).__name__})") from error

        return self._tried(once, f"POST {self.shown}{path}")

    def _tried(self, once: Callable[[], T], what: str) -> T:
        try:
            return once()
        except _TryAgainError as error:
            failed = [error]

        def again() -> T:
            if failed:
                raise failed.pop()
            return once()

        schedule = self._schedule
        try:
            for attempt in stamina.retry_context(
                on=self._again, attempts=schedule.attempts, timeout=None, wait_initial=schedule.wait_first_s,
                wait_max=schedule.wait_cap_s, wait_jitter=schedule.wait_first_s, wait_exp_base=schedule.wait_base,
            ):  # fmt: skip
                with attempt:
                    return again()  # begins with the failure that there was: the schedule is only set up for one
        except _TryAgainError as error:
            wait_s = error.wait_s if error.wait_s is not None else schedule.wait_cap_s
            raise ProviderUnavailableError(
                f"{what} failed: {error}. Run the same command again later; it goes on where it stopped.",
                time.time() + wait_s,
            ) from error
        raise AssertionError("the schedule ended without an answer")

    def _again(self, error: Exception) -> bool | float:
        if not isinstance(error, _TryAgainError):
            return False
        if error.wait_s is None:
            return True
        self._asked_waits_s += error.wait_s
        if self._asked_waits_s > self._schedule.asked_waits_max_s:
            return False
        return error.wait_s if error.wait_s <= self._schedule.retry_after_cap_s else False

    def _once(
        self, method: str, path: str, bytes_max: int, good: tuple[int, ...], content: Mapping[str, Any] | None
    ) -> bytes | None:
        started_s = time.monotonic()
        try:
            answer = self._asked(method, path, content, good, bytes_max)
        except AnswerTooLargeError:
            raise ProviderRefusedError(f"{self.shown} sends more than {bytes_max} bytes for one answer.") from None
        except (httpx.TransportError, OSError, HTTPException) as error:
            if _is_tls(error):
                raise ProviderRefusedError(
                    f"The TLS certificate of {self.shown} is not accepted ({told(error)}): check the address and --ca."
                ) from error
            if isinstance(error, AnswerTooLateError) or time.monotonic() - started_s > self._schedule.body_timeout_s:
                raise _TryAgainError(f"an answer that took longer than {self._schedule.body_timeout_s:g} s") from error
            raise _TryAgainError(f"{type(error).__name__}: {told(error)}") from error
        except httpx.InvalidURL as error:
            raise UserError(f"{self.shown}: not an address that can be asked ({error}); correct it.") from error
        if answer.status == 404:
            return None
        if answer.status not in good:
            raise self._judged(answer.status, answer.header("retry-after"))
        sent_bytes = sum(len(blob) for _, (_, blob, _) in (content or {}).get("files", ()))
        self._earn(len(answer.body) + sent_bytes)
        if (answer.header("content-encoding") or "identity") != "identity":
            raise _TryAgainError("an answer in an encoding that was not asked for")
        return answer.body

    def _asked(
        self, method: str, path: str, content: Mapping[str, Any] | None, good: tuple[int, ...], bytes_max: int
    ) -> WholeAnswer:
        started_s = time.monotonic()
        deadline_s = min(self._schedule.body_timeout_s, self._run_left_s)
        if deadline_s <= 0.0:
            raise ProviderUnavailableError(
                f"{self.shown} answers too slowly: this run has waited for it as long as it may for what came. Run "
                "the same command again; it goes on where it stopped.",
                time.time(),
            )
        try:
            if self._plain is None or content is not None or not path.startswith("/"):
                return self._client.ask(method, path, content or {}, good, bytes_max, deadline_s)
            body = bytearray()
            with self._plain.get(self._prefix + path, deadline_s) as (status, header, parts):
                for part in parts if status in good else ():
                    body += part
                    if len(body) > bytes_max:
                        raise AnswerTooLargeError
            return WholeAnswer(status, header, bytes(body))
        finally:
            with self._counted:
                self._run_left_s -= (time.monotonic() - started_s) / self._connections

    def _earn(self, moved_bytes: int) -> None:
        """Give the run more time for an answer that came."""
        with self._counted:
            self._run_left_s += self._schedule.run_s_per_answer + moved_bytes / self._schedule.run_bytes_per_s

    def _judged(self, status: int, retry_after: str | None) -> Exception:
        if status == 429:
            return _TryAgainError("too many requests (429)", retry_after_s(retry_after, _now()))
        if status >= 500 or status == 408:
            return _TryAgainError(f"the server's error {status}")
        advice = {401: "set GPS_DENIED_PROVIDER_KEY or give --key-file", 403: "the key is refused: ask for another one"}
        kind = ProviderKeyRefusedError if status in advice else ProviderRefusedError
        return kind(f"{self.shown} answers {status}: {advice.get(status, 'check the address')}.")


def _no_proxy(scheme: str, host: str) -> bool:
    proxies = urllib.request.getproxies()
    return not (proxies.get(scheme) or proxies.get("all")) or bool(urllib.request.proxy_bypass(host))


def retry_after_s(text: str | None, now: datetime) -> float | None:
    """Return the seconds of a Retry-After header in either form; None where it is absent or unreadable."""
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            moment = parsedate_to_datetime(text)
        except (ValueError, TypeError, IndexError):
            return None
        seconds = ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now).total_seconds()
    return max(seconds, 0.0) if seconds < 1e9 else None


def shown(url: str) -> str:
    """Return an address without user, password and query, for messages and reports."""
    parts = urlsplit(url)
    host = f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)
    return f"{parts.scheme}://{host}"


def _log_retry(details: stamina.instrumentation.RetryDetails) -> None:
    log.info("tried again: try=%d wait_s=%.2f why=%s", details.retry_num, details.wait_for, details.caused_by)


def _now() -> datetime:
    return datetime.now(UTC)


def _is_tls(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False
