"""What executes a plan: the readable reference engine and the compiled one."""
