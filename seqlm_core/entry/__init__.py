"""The first lines of the ``seqlm`` command. While it is still being loaded, Ctrl-C ends it without a message.

This is installed as a package of its own, ``seqlm_entry``, since importing any part of ``seqlm_core`` loads all of it.
"""

import signal


def main() -> None:
    """Run the command line."""
    # False in the background of a script, where Ctrl-C is ignored.
    is_handled = signal.getsignal(signal.SIGINT) == signal.default_int_handler
    if is_handled:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from seqlm_core.command_line.main import main as run

    if is_handled:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    run()
