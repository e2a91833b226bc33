"""The first lines of the ``seqlm`` command: Ctrl-C ends it without a word while it is still being loaded.

It is installed as a package of its own, ``seqlm_entry``, since a part of ``seqlm_core`` comes only after all of that.
"""

import signal


def main() -> None:
    """Run the command line."""
    is_heard = signal.getsignal(signal.SIGINT) == signal.default_int_handler  # not so in the background of a script
    if is_heard:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from seqlm_core.command_line.main import main as run

    if is_heard:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    run()
