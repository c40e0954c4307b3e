"""What tests share: graphs, networks and rows, plugins that are broken, checks of files and pictures."""
