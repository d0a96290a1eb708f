"""The simulated aircraft's camera as a process: true poses come in on stdin, an MJPEG stream is served on loopback.

`python -m tests.sitl.camera SCENE` (JSON) prints its address once the ground is painted. A line of stdin is a pose:
`t_ns east north up` and nine numbers of the rotation body to ENU. Every picture leaves DELAY_S after the middle of
its exposure, as a real camera's do: the poses around that moment have come by then, and it is drawn. A line
`repeat seconds` has it show its last picture for so long.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np

from .mjpeg import MjpegServer
from .scene import BLIND_BELOW_M, Scene
from .truth import Pose, Track

RATE_HZ = 1.0
DELAY_S = 0.25
JPEG_QUALITY = 92
AROUND_M = 500.0
ROOT = Path(__file__).resolve().parents[2]


class Camera:
    """The process, from the outside. `url` is the stream, `late` how many pictures were not ready in time."""

    def __init__(self, scene: Scene, log: Path) -> None:
        paths = [str(ROOT / "src"), str(ROOT)]
        self._log = log.open("w")
        self._telling = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.sitl.camera", json.dumps(dataclasses.asdict(scene))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"},
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        assert self.url, f"the camera did not start: {log.read_text()}"

    def tell(self, pose: Pose) -> None:
        """Where the aircraft is; in order of time."""
        values = [*pose.position_enu_m, *pose.rotation_body_to_enu.ravel()]
        self._say(f"{pose.t_ns} {' '.join(f'{v:.6f}' for v in values)}")

    def repeat(self, seconds: float) -> None:
        """From now on show the last picture again and again, for so long."""
        self._say(f"repeat {seconds}")

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        with self._telling:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()

    def close(self) -> dict[str, int]:
        """End it; tells how many pictures were shown, were dark, and came late."""
        out, _ = self._process.communicate(timeout=20)
        self._log.close()
        counts: dict[str, int] = json.loads(out)
        return counts


class Drawing:
    """Draws the ground as the camera sees it from the poses that are known."""

    def __init__(self, scene: Scene, kept: int = 2000) -> None:
        from gps_denied_sim.noise import stream
        from gps_denied_sim.render.atmosphere import Air, dark_picture, make_sensor
        from gps_denied_sim.render.sim_camera import SimCamera

        camera, model = scene.camera()
        self.track = Track(kept)
        self.repeat_until_ns = 0
        ground = scene.camera_ground()
        for chunk in scene.chunks(AROUND_M):
            ground.chunk(*chunk)
        self._eye = SimCamera(camera, self.track, ground, scene.seed)  # type: ignore[arg-type]  # it asks `at` alone
        self._sensor = make_sensor(scene.seed, model.width_px, model.height_px)
        self._air = Air(0.0, 0.0, False)
        rng = stream(scene.seed, "dark")
        size = (model.height_px, model.width_px)
        self.dark = _jpeg(dark_picture(size, self._sensor, rng, ground.world.textures))

    def picture(self, t_ns: int, index: int) -> bytes | None:
        """The picture exposed around `t_ns`; None on the ground and where no pose is known."""
        margin_ns = 20_000_000
        pose = self.track.at_ns(t_ns)
        if pose is None or self.track.at_ns(t_ns - margin_ns) is None or self.track.at_ns(t_ns + margin_ns) is None:
            return None
        if pose.position_enu_m[2] < BLIND_BELOW_M:
            return None
        return _jpeg(self._eye.picture(t_ns / 1e9, index, self._air, self._sensor))


def _jpeg(image: np.ndarray) -> bytes:
    import cv2

    encoded, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    assert encoded
    return data.tobytes()


def _hear(drawing: Drawing, stop: threading.Event) -> None:
    """Poses from stdin until it ends."""
    for line in sys.stdin:
        t_ns, *values = line.split()
        if t_ns == "repeat":
            drawing.repeat_until_ns = time.monotonic_ns() + round(float(values[0]) * 1e9)
            continue
        numbers = np.array([float(v) for v in values])
        drawing.track.add(Pose(int(t_ns), numbers[:3], numbers[3:].reshape(3, 3)))
    stop.set()


def main(scene: Scene) -> None:
    """Serve pictures until stdin ends."""
    drawing, stream, stop = Drawing(scene), MjpegServer(), threading.Event()
    threading.Thread(target=_hear, args=(drawing, stop), daemon=True).start()
    print(stream.url, flush=True)
    counts = {"pictures": 0, "dark": 0, "late": 0}
    period_ns, delay_ns = round(1e9 / RATE_HZ), round(DELAY_S * 1e9)
    exposed_ns = time.monotonic_ns()
    shown: bytes | None = None
    while not stop.wait(max(0.0, (exposed_ns + delay_ns * 0.5 - time.monotonic_ns()) / 1e9)):
        if shown is None or time.monotonic_ns() >= drawing.repeat_until_ns:
            shown = drawing.picture(exposed_ns, counts["pictures"])
        jpeg = shown
        counts["dark"] += jpeg is None
        due_s = (exposed_ns + delay_ns - time.monotonic_ns()) / 1e9
        if due_s >= 0.0:
            stop.wait(due_s)
            stream.show(jpeg or drawing.dark)
            counts["pictures"] += 1
        else:
            counts["late"] += 1
        exposed_ns = max(exposed_ns + period_ns, time.monotonic_ns() - delay_ns // 2)
    stream.close()
    print(json.dumps(counts), flush=True)


if __name__ == "__main__":
    main(Scene(**json.loads(sys.argv[1])))
