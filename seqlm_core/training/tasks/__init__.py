"""What can be trained: language models, and models of whole sequences."""
