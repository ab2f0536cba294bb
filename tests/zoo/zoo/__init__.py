"""Public models, put through the built programs and compared with onnxruntime."""
