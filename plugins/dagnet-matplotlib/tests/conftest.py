import dagnet_matplotlib

import dagnet

if "png" not in dagnet.exporters():  # not installed, only on the path
    dagnet.register(dagnet_matplotlib)
