"""Random valid ONNX graphs over the operators that the importer supports, proved and compared with onnxruntime."""
