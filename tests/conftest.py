"""What all tests share: how hypothesis searches.

In CI the examples are the same each time, so that a red run says something about the change; on a laptop the search
goes on with new ones. No deadline anywhere: the time of one example says more about the machine than about the code.
"""

import os

from hypothesis import settings

settings.register_profile("laptop", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "laptop")
