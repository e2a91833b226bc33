"""Models in the formats of other programs, out and in: ONNX, PyTorch, and pages for browsers."""
