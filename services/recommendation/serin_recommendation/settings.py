"""Settings of this service alone; what both services have is in `serin_services.settings`."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from serin_services.settings import Seconds


class RecommendationSettings(BaseSettings):
    """Settings of the recommendation service. The name of a variable is SERIN_ and the field's name in capitals."""

    model_config = SettingsConfigDict(
        env_prefix="SERIN_", frozen=True, extra="ignore", hide_input_in_errors=True, protected_namespaces=()
    )

    model_dir: Path | None = None
    """Folder of the model's versions. Without one, or with an empty one, the start trains on the synthetic data."""
    model_poll: Seconds = Field(default=5.0, gt=0)
    """How often the folder is looked at for a new version."""
    seed: Literal["auto", "always", "never"] = "auto"
    """What a start does with an empty database. `auto`: SQLite gets the synthetic data; `always`: PostgreSQL too."""

    budget_collaborative: Seconds = Field(default=0.04, gt=0)
    """Longest time of this part of the ensemble for one answer; then it goes without it."""
    budget_content: Seconds = Field(default=0.04, gt=0)
    budget_persona: Seconds = Field(default=0.04, gt=0)

    profile_entries: int = Field(default=1000, ge=1)
    profile_ttl: Seconds = Field(default=300.0, gt=0)
    """How long a user's history may be old, when another pod has taken in their feedback."""
    persona_entries: int = Field(default=100, ge=1)
    persona_ttl: Seconds = Field(default=300.0, gt=0)
    trend_ttl: Seconds = Field(default=30.0, gt=0)

    served_keep: Seconds = Field(default=30 * 86400.0, gt=0)
    """How long it is kept what was served to whom; the longest window of the A/B goals."""

    def budgets(self) -> dict[str, float]:
        """Return the budget of each part, seconds, by its name."""
        return {
            "collaborative": self.budget_collaborative,
            "content": self.budget_content,
            "persona": self.budget_persona,
        }
