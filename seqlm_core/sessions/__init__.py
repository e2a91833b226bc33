"""Whole trainings: new runs, and runs that are resumed."""
