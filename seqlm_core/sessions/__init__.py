"""Trainings from their beginning to their end: new ones and those that go on."""
