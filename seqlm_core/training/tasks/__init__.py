"""The two tasks that can be trained: language models, and sequence models."""
