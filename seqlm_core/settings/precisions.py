"""To what the factors of the products of a training are rounded, by the names of the setting ``precision``."""

FLOAT32, BFLOAT16 = "float32", "bfloat16"
PRECISIONS = (FLOAT32, BFLOAT16)
