"""Sequences of any kind with what belongs to them: examples, encoders, batches, and scores."""
