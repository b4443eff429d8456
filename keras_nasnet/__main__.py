"""`python -m keras_nasnet` is `keras-nasnet`."""

import sys

from keras_nasnet.cli import main

sys.exit(main())
