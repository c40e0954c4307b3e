import dagnet_example

import dagnet

if "snake" not in dagnet.activations():  # not installed, only on the path
    dagnet.register(dagnet_example)
