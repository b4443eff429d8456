from .classifier import Classifier as Classifier
from .evaluation import Evaluation as Evaluation
from .evaluation import evaluate as evaluate
from .exporter import export as export
from .report import report_run as report_run
from .report import write_report as write_report
