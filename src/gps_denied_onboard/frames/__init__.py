"""Where pictures come from: a camera, a folder of photographs, a video, a recording. All yield Frame in time order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from gps_denied_onboard.messages import Frame


class FrameSource(Protocol):
    """Yields frames lazily in the order of time; what could not be read is skipped and told in `problems`."""

    @property
    def problems(self) -> tuple[str, ...]:
        """One sentence for each thing that was left out so far."""
        ...

    def __iter__(self) -> Iterator[Frame]: ...
