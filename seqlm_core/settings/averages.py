"""The names of the averages of the weights."""

NONE = "none"
EMA = "ema"
TRIGGERED = "triggered"
AVERAGES = (NONE, EMA, TRIGGERED)
