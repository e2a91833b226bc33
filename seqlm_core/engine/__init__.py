"""The only door to MXNet, and a few numerical functions that do not need it."""
