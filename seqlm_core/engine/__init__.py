"""MXNet and the little that is computed beside it: the only door to the engine."""
