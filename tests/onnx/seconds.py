"""How long onnxruntime takes on one thread: seconds.py MODEL.onnx TIMES, on the numbers of zkml/reference/examples/seconds.

Tensors are bound once, so that what Python adds to a call is left out. Prints the least seconds of a call.
"""

import sys
import time

import numpy as np
import onnxruntime

file, times = sys.argv[1], int(sys.argv[2])
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
binding = session.io_binding()
for port in session.get_inputs():
    shape = [d if isinstance(d, int) else 1 for d in port.shape]
    values = np.sin(0.7 * np.arange(np.prod(shape, dtype=int))).astype(np.float32).reshape(shape)
    binding.bind_cpu_input(port.name, values)
for port in session.get_outputs():
    binding.bind_output(port.name, "cpu")
seconds = []
for _ in range(times):
    start = time.perf_counter()
    session.run_with_iobinding(binding)
    seconds.append(time.perf_counter() - start)
print(f"{min(seconds):.9f}")
