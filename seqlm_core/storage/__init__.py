"""Files and streams: files that are written whole or not at all, locks, checkpoints, and checks of JSON."""
