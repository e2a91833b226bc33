"""Sequences of any kind with what belongs to them: examples, codecs, batches, and scores."""
