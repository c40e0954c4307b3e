"""dagnet."""
