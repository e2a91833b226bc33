"""How good a model is: its figures on a text, or on sequences."""
