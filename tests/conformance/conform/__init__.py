"""ONNX's node tests, proved: which count, how each is asked, and when an answer is right."""
