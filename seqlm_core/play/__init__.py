"""A page on which one plays with a model, served on this computer alone."""
