"""Names that are no applications.

``application`` (an int), ``text`` (a str), ``nothing`` (None) and ``module`` (a
module): the server says that the object is not callable and of which type it is, and
does not start. ``missing`` is not defined: the server says so and may say what is.
"""

import os

application = 42
text = "application"
nothing = None
module = os
