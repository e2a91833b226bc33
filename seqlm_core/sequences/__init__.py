"""Sequences of tokens or values: examples, column files, codecs, and batches of unequal lengths."""
