"""Checks of what a plugin has to do to be a good one: cells, tokenizers and optimizers, whoever wrote them."""
