"""What training.py times: seqlm and its peers, each a module, and how they are timed and told of."""
