"""What a terminal shows of long work: lines that are updated in place, bars, and texts that cannot control it."""
