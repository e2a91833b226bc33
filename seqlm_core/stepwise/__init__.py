"""The networks in NumPy, made of their cells' step functions; they compute where MXNet is not installed."""
