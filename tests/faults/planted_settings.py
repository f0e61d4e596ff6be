"""Settings of a server with a planted bug: the product's, and one application more that plants it."""

from console.settings import *
from console.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.faults.planted.Planted"]
