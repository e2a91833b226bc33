"""The ``seqlm`` command: each module parses one command, calls one function of the API, and prints."""
