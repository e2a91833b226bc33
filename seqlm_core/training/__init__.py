"""The training loop, the task that it trains, and the updates that it makes."""
