"""dagnet on PyTorch: an engine for GPUs, training on many machines, and networks as modules."""
