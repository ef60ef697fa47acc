"""A trained model: arrays in a versioned folder, mapped into memory, replaced while the service runs.

- `arrays`: what a model is, and the look-ups on it; numpy alone, so that a serving process needs no trainer.
- `store`: writes a version and reads it back, or refuses it.
- `watch`: which version this process serves, and what to do when the newest one is broken.
"""

from serin_recommendation.model.arrays import Model, Neighbours
from serin_recommendation.model.store import ModelError, load, newest, save
from serin_recommendation.model.watch import FixedModel, ModelSource, ModelWatch

__all__ = [
    "FixedModel",
    "Model",
    "ModelError",
    "ModelSource",
    "ModelWatch",
    "Neighbours",
    "load",
    "newest",
    "save",
]
