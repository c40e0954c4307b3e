import dagnet_glm

import dagnet

if "gamma" not in dagnet.losses():  # not installed, only on the path
    dagnet.register(dagnet_glm)
