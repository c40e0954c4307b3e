import dagnet_torch

import dagnet

if "torch" not in dagnet.engines():  # not installed, only on the path
    dagnet.register(dagnet_torch)
