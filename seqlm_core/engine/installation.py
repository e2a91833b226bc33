"""Where MXNet is missing: whether there is a build of it for this platform, and the command that installs it."""

from __future__ import annotations

import platform
import sys

RELEASE = "mxnet==1.9.1"


def how_to_install_mxnet() -> str:
    """Return how MXNet is installed on this platform, by this Python; or that there is no build for it."""
    system, machine = platform.system(), platform.machine()
    if (system, machine) not in (("Linux", "x86_64"), ("Linux", "aarch64"), ("Darwin", "x86_64")):
        return f"there is no build of it for {system} on {machine}; train on Linux (x86-64), and use the run here"
    # Its metadata ask for numpy<2, which no release of NumPy for Python 3.13 is.
    command = "pip install --no-deps" if sys.version_info >= (3, 13) else "pip install"
    return f"install it with: {command} {RELEASE}"
