from importlib.metadata import entry_points

import dagnet_example

import dagnet

if not entry_points(group="dagnet", name="dagnet_example"):  # not installed, only on the path
    dagnet.register(dagnet_example)
