"""Files and streams: written whole or not at all, locked, described and checked."""
