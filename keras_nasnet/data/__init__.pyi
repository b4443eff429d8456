from .batches import Batches as Batches
from .image import UnreadableImageError as UnreadableImageError
from .image import load_image as load_image
from .imagenet import decode_predictions as decode_predictions
from .imagenet import preprocess_input as preprocess_input
from .source import Source as Source
from .source import open_data as open_data
