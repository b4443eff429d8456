"""Free memory, within the limits of a container too."""

import os
from collections.abc import Iterator
from pathlib import Path

# Control groups of version 2 and of version 1, by their name in `/proc/self/cgroup`: the folder,
# and the files of the limit and of what is in use.
GROUPS = {
    "": ("", "memory.max", "memory.current"),
    "memory": ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
}


def available_memory(system: Path = Path("/")) -> int:
    """Bytes that can be allocated without swapping; 0 where the system does not say.

    Args:
        system: path of the root of `/proc` and `/sys`.
    """
    try:
        lines = (system / "proc/meminfo").read_text().splitlines()
        sizes = dict(line.split(":", 1) for line in lines)
        available = int(sizes["MemAvailable"].split()[0]) * 1024
    except (OSError, ValueError, KeyError):  # not Linux: half of what there is
        if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", ()):
            return 0
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    return max(0, min([available, *_left_in_groups(system)]))


def _left_in_groups(system: Path) -> Iterator[int]:
    """What is left in each control group of this process, and in those around it."""
    try:
        lines = (system / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if controllers not in GROUPS:
            continue
        folder, limit, used = GROUPS[controllers]
        root = system / "sys/fs/cgroup" / folder
        path = root / group.lstrip("/")
        for place in (path, *path.parents):
            if not place.is_relative_to(root):
                break
            try:
                in_use = int((place / used).read_text()) - _reclaimable(place)
                yield int((place / limit).read_text()) - in_use
            except (OSError, ValueError):  # no such file, or no limit: "max"
                continue


def _reclaimable(group: Path) -> int:
    """Bytes of cached files, which the system drops when it needs the memory."""
    lines = (group / "memory.stat").read_text().splitlines()
    sizes = dict(line.split() for line in lines)
    return int(sizes.get("total_inactive_file", sizes.get("inactive_file", 0)))
