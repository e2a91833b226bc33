"""Checks that plugins do what cells, tokenizers and optimizers have to do."""
