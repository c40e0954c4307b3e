"""The safe file: networks and checkpoints that are whole, exact, and never run code."""

from dagnet.files import atomically
from dagnet.storage.models import StoredModel, load_checkpoint, load_model, save_checkpoint, save_model

__all__ = ["StoredModel", "atomically", "load_checkpoint", "load_model", "save_checkpoint", "save_model"]
