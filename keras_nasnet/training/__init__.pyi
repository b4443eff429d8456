from .callback import StoppedError as StoppedError
from .recipes import RECIPES as RECIPES
from .recipes import Recipe as Recipe
from .recipes import recipe as recipe
from .trainer import Job as Job
from .trainer import compile_model as compile_model
from .trainer import make_model as make_model
from .trainer import train as train
