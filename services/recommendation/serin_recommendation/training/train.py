"""The whole training: fit on the past, fit the weights on what came later, fit again on everything, write a version."""

from collections.abc import Callable
from importlib.metadata import version as installed
from pathlib import Path

from serin_recommendation.data import Dataset, split_by_time
from serin_recommendation.model import Model, save
from serin_recommendation.training.fit import Settings, fit
from serin_recommendation.training.weights import described, fit_weights

Say = Callable[[str], None]


def _silent(_line: str) -> None:
    """Say nothing."""


def fitted(data: Dataset, settings: Settings | None = None, say: Say = _silent) -> Model:
    """Fit a model on all of `data`, with weights that were fitted on the newest tenth of each user's interactions.

    No more than a tenth, so that the evidence that is weighed is nearly the evidence that will serve.

    Raises:
        ValueError: There is too little data.
    """
    split = split_by_time(data, share=0.1)
    say(f"fits weights on {split.held_out.users.size} interactions that were held out")
    weights = fit_weights(fit(split.seen, settings), split)
    say(f"weights: {described(weights)}")
    say(f"fits on all {data.users.size} interactions")
    return fit(data, settings, weights)


def train(data: Dataset, folder: Path, settings: Settings | None = None, say: Say = _silent) -> str:
    """Train on `data` and write a version into `folder`.

    Args:
        data: Interactions.
        folder: The folder of all versions.
        settings: How to fit.
        say: Told what happens, a line at a time.

    Returns:
        Name of the version.

    Raises:
        ValueError: There is too little data.
    """
    model = fitted(data, settings, say)
    notes = {
        "users": len(data.user_ids),
        "items": len(data.items),
        "interactions": int(data.users.size),
        "libraries": {name: installed(name) for name in ("implicit", "scikit-learn", "numpy", "scipy")},
    }
    version = save(folder, model, notes)
    say(f"wrote model {version} to {folder}")
    return version
