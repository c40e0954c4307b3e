"""The safe file: networks and checkpoints that are whole, exact, and never run code."""

from dagnet.storage.atomic import atomically
from dagnet.storage.checkpoints import load_checkpoint, save_checkpoint
from dagnet.storage.models import StoredModel, load_model, save_model

__all__ = ["StoredModel", "atomically", "load_checkpoint", "load_model", "save_checkpoint", "save_model"]
