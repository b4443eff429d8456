"""What a trained model is used by: a classifier of images, exports, a benchmark of runtimes."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
