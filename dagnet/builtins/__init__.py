"""Built-in activations, losses, initializers and optimizers: ordinary plugins, without privilege."""
