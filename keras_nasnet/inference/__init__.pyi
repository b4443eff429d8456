from .classifier import Classifier as Classifier
from .exporter import export as export
