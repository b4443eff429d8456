"""Formats in which other programs run a classifier: a module each, none of which knows Keras.

Each has `RUNTIME`, the module of the program that runs it; `EXTRA`, the extra of this package
that brings it; `PRECISIONS`; `FILE`, by which a folder of the format is known, None if it is a
file; `write(servable, path, precision, images)`; and `load(path)`, which returns a function from
images `(batch, height, width, 3)`, 0 to 255, to probabilities.
"""

from keras_nasnet.inference.formats import litert, onnx, openvino, saved_model

FORMATS = {
    "tf_saved_model": saved_model,
    "onnx": onnx,
    "openvino": openvino,
    "litert": litert,
}
