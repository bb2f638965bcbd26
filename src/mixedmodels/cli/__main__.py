"""`python -m mixedmodels.cli`."""

import sys

from . import main

sys.exit(main())
