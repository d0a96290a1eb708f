"""The kernel's package: its image, and the modules that a board names with what they need."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

INDEX_FILES = ("modules.order", "modules.builtin", "modules.builtin.modinfo")


class KernelTree:
    """An unpacked linux-image package: usr/lib/modules/RELEASE and boot/vmlinuz-RELEASE. depmod must be on PATH."""

    def __init__(self, tree: Path) -> None:
        releases = sorted(entry.name for entry in (tree / "usr/lib/modules").iterdir())
        if len(releases) != 1:
            raise ValueError(f"{tree} holds the modules of {len(releases)} kernels, not of one")
        self.release = releases[0]
        self.modules = tree / "usr/lib/modules" / self.release
        self.image = tree / "boot" / f"vmlinuz-{self.release}"
        subprocess.run(["depmod", "-b", tree, self.release], check=True)
        self._needs = {}
        for line in (self.modules / "modules.dep").read_text().splitlines():
            name, needs = line.split(":")
            self._needs[name] = needs.split()
        self._named = {_key(path): path for path in self._needs}
        self._builtin = {_key(line) for line in (self.modules / "modules.builtin").read_text().split()}

    def closure(self, names: tuple[str, ...]) -> list[str]:
        """Paths below the modules' folder, each after what it needs. ValueError for a module that does not exist."""
        order: list[str] = []

        def add(path: str) -> None:
            if path not in order:
                for need in reversed(self._needs[path]):
                    add(need)
                order.append(path)

        for name in names:
            if _key(name) in self._named:
                add(self._named[_key(name)])
            elif _key(name) not in self._builtin:
                raise ValueError(f"kernel {self.release} has no module '{name}'; correct the board's list")
        return order

    def install(self, names: tuple[str, ...], root: Path) -> None:
        """Copy modules and their indexes into a root tree."""
        target = root / "usr/lib/modules" / self.release
        for path in self.closure(names):
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.modules / path, target / path)
        for name in INDEX_FILES:
            shutil.copyfile(self.modules / name, target / name)
        subprocess.run(["depmod", "-b", root, self.release], check=True)


def _key(path: str) -> str:
    return path.rsplit("/", 1)[-1].split(".ko")[0].replace("-", "_")
