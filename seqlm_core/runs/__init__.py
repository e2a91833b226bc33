"""The directory that a training leaves on disk, and what can be done with it."""
