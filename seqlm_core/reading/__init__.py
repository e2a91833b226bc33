"""From text files to token ids, and to the windows that a model is trained on."""
