"""The extensions of the training loop that are part of seqlm, each in a module of its own."""
