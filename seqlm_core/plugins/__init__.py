"""Plugins: the records that they provide, how they are found, and how their errors are reported."""
