"""What tests simulate of a computer that is not here: no MXNet is installed, and the system is not POSIX.

Only what seqlm's own modules import is changed, since other packages find out by themselves on which system they are.
"""

from __future__ import annotations

import builtins
import fcntl
import importlib.abc
import os
import signal
import sys
import types

OURS = ("seqlm_core", "seqlm_plugins", "seqlm_entry")
POSIX_MODULES = ("fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty")
WINDOWS_LACKS = {
    "os": {
        *("chown", "chroot", "fchmod", "fchown", "fork", "forkpty", "geteuid", "getgid", "getpgid", "getuid", "killpg"),
        *("mkfifo", "nice", "openpty", "pread", "sched_getaffinity", "setpgid", "setsid", "sysconf", "uname", "wait"),
        *("O_CLOEXEC", "O_DIRECTORY", "O_NOCTTY", "O_NOFOLLOW", "O_NONBLOCK", "WIFEXITED", "WNOHANG"),
    },
    "signal": {"SIGHUP", "SIGKILL", "SIGQUIT", "SIGUSR1", "SIGCHLD", "SIGALRM", "alarm", "pause", "setitimer"},
}


class NoMXNet(importlib.abc.MetaPathFinder):
    """Finds that MXNet is not installed."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname.partition(".")[0] == "mxnet":
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        return None


class Lacking(types.ModuleType):
    """A module without some of its names, and with others in their place."""

    def __init__(self, module, lacks=frozenset(), **others):
        super().__init__(module.__name__)
        self.__dict__.update({"_module": module, "_lacks": lacks, **others})

    def __getattr__(self, name):
        if name in self._lacks:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return getattr(self._module, name)


def exists(path):
    """Whether there is such a path; there are no devices."""
    return not os.fspath(path).startswith(("/dev/", "/proc/")) and os.path.exists(path)


class Locks(types.ModuleType):
    """Windows' module of locks, as far as it is used."""

    LK_NBLCK, LK_UNLCK = 2, 0

    def locking(self, descriptor, mode, count):
        if count != 1 or mode not in (self.LK_NBLCK, self.LK_UNLCK):
            raise ValueError("this is not simulated")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB if mode == self.LK_NBLCK else fcntl.LOCK_UN)
        except BlockingIOError as error:
            raise PermissionError(13, "Permission denied") from error


def be_elsewhere():
    """Simulate all of this in this process, before seqlm is imported."""
    if any(name.partition(".")[0] in OURS for name in sys.modules):
        raise RuntimeError("seqlm was imported here already")
    sys.meta_path.insert(0, NoMXNet())
    stand_ins = {
        "os": Lacking(os, WINDOWS_LACKS["os"], name="nt", path=Lacking(os.path, exists=exists)),
        "signal": Lacking(signal, WINDOWS_LACKS["signal"]),
        "msvcrt": Locks("msvcrt"),
    }
    found = builtins.__import__

    def import_(name, globals=None, locals=None, fromlist=(), level=0):
        importer = (globals or {}).get("__name__", "")
        if not level and importer.partition(".")[0] in OURS:
            if name in POSIX_MODULES:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)
            if name in stand_ins:
                return stand_ins[name]
        return found(name, globals, locals, fromlist, level)

    builtins.__import__ = import_
