#!/usr/bin/env python3
"""Exports Keras' library models to ONNX by tf2onnx: family tf2onnx.

    from_keras.py FOLDER [NAME …]        writes FOLDER/tf2onnx/NAME.onnx

Weights are random of a fixed seed: what is exported is the library's model, not something trained here.
"""

import os
import sys
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

import keras
import tensorflow as tf
import tf2onnx
from keras import applications, layers

SEED = 7


def application(name, size=32, **options):
    def make():
        shape = (size, size, 3)
        return getattr(applications, name)(weights=None, input_shape=shape, classes=10, **options), [shape]

    return make


def chain(shape, *parts, dtype="float32"):
    return lambda: (keras.Sequential([keras.Input(shape, dtype=dtype), *[p() for p in parts]]), [shape])


def attention():
    x = keras.Input((6, 16))
    return keras.Model(x, layers.MultiHeadAttention(2, 8)(x, x)), [(6, 16)]


MODELS = {
    "mobilenet": application("MobileNet", alpha=0.25),
    "mobilenet-v2": application("MobileNetV2", alpha=0.35),
    "mobilenet-v3-small": application("MobileNetV3Small", alpha=0.75, minimalistic=True),
    "resnet50": application("ResNet50"),
    "vgg16": application("VGG16"),
    "densenet121": application("DenseNet121"),
    "efficientnet-b0": application("EfficientNetB0"),
    "nasnet-mobile": application("NASNetMobile"),
    "xception": application("Xception", 71),
    "inception-v3": application("InceptionV3", 75),
    "dense": chain((16,), lambda: layers.Dense(32, "relu"), lambda: layers.Dense(10, "softmax")),
    "dense-logits": chain((16,), lambda: layers.Dense(32, "relu"), lambda: layers.Dense(10)),
    "conv2d": chain(
        (28, 28, 1), lambda: layers.Conv2D(8, 3, activation="relu"), layers.MaxPooling2D, layers.Flatten,
        lambda: layers.Dense(10),
    ),
    "conv1d": chain(
        (32, 4), lambda: layers.Conv1D(8, 3, padding="causal", activation="relu"), layers.GlobalAveragePooling1D,
        lambda: layers.Dense(4),
    ),
    "conv2d-transpose": chain((6, 6, 4), lambda: layers.Conv2DTranspose(3, 3, strides=2, padding="same")),
    "depthwise-conv2d": chain((12, 12, 4), lambda: layers.DepthwiseConv2D(3, padding="same"), layers.BatchNormalization),
    "separable-conv2d": chain((12, 12, 4), lambda: layers.SeparableConv2D(8, 3, strides=2, padding="same")),
    "simple-rnn": chain((5, 6), lambda: layers.SimpleRNN(8)),
    "lstm": chain((5, 6), lambda: layers.LSTM(8)),
    "gru": chain((5, 6), lambda: layers.GRU(8)),
    "bidirectional-lstm": chain((5, 6), lambda: layers.Bidirectional(layers.LSTM(8))),
    "embedding": chain((10,), lambda: layers.Embedding(32, 8), layers.Flatten, lambda: layers.Dense(2), dtype="int32"),
    "layer-normalization": chain((6, 16), layers.LayerNormalization),
    "multi-head-attention": attention,
    "up-sampling2d": chain((6, 6, 3), layers.UpSampling2D),
}


def normalise(model, shapes):
    """Moving means and variances as they are for normal inputs: with 0 and 1 a deep network forgets its input."""
    norms = [l for l in model._flatten_layers() if isinstance(l, layers.BatchNormalization)]
    if norms:
        for layer in norms:
            layer.momentum = 0.0
        model(keras.random.normal((16, *shapes[0])), training=True)


def export(name, path):
    keras.utils.set_random_seed(SEED)
    model, shapes = MODELS[name]()
    normalise(model, shapes)
    dtypes = [i.dtype for i in model.inputs]
    spec = [tf.TensorSpec((1, *s), d, name=f"input{i}") for i, (s, d) in enumerate(zip(shapes, dtypes))]
    function = tf.function(lambda *x: model(x[0] if len(x) == 1 else list(x), training=False))
    path.parent.mkdir(parents=True, exist_ok=True)
    tf2onnx.convert.from_function(function, input_signature=spec, opset=17, output_path=str(path))


def main(folder, *only):
    failed = 0
    for name in only or MODELS:
        try:
            export(name, Path(folder) / "tf2onnx" / f"{name}.onnx")
        except Exception as error:  # what an exporter refuses is told, and the others follow
            failed += 1
            print(f"tf2onnx/{name}: {type(error).__name__}: {str(error)[:300]}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
