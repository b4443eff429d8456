from .converter import convert as convert
from .formats import FORMATS as FORMATS
from .formats import Format as Format
from .formats.own_safetensors import save_safetensors as save_safetensors
from .load import load_weights as load_weights
from .location import locate as locate
