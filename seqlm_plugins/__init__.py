"""The built-in plugins: one module for each cell, tokenizer and optimizer."""
