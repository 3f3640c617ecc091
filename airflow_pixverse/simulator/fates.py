"""What becomes of a submitted job: it completes, fails, is moderated, or is not even accepted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_pixverse.simulator.fields import FieldError, fraction, text
from airflow_pixverse.simulator.state import AtCapacityError, ModeratedPromptError, Outcome

if TYPE_CHECKING:
    import random

REFUSED = "refused"
BUSY = "busy"
FATES = (*Outcome, REFUSED, BUSY)
# It bounds the memory that fates can take.
MAX_FATES = 1000


def outcome_named(value: str) -> Outcome:
    """Return the outcome of that name, or raise :class:`FieldError`."""
    if value not in set(Outcome):
        raise FieldError("outcome", f"must be one of {', '.join(Outcome)}")
    return Outcome(value)


class Fates:
    """
    Decides by the prompt, or else at random.

    :param failed: the share of jobs that fail, 0 to 1
    :param moderated: the share of jobs that are moderated once they have run, 0 to 1
    :param rng: of the random decisions
    """

    def __init__(self, failed: float, moderated: float, rng: random.Random) -> None:
        self._failed = fraction("failed", failed)
        self._moderated = fraction("moderated", moderated)
        if failed + moderated > 1:
            raise FieldError("moderated", "must be at most 1 together with failed")
        self._rng = rng
        self._by_prompt: dict[str, str] = {}

    def choose(self, prompt: str, fate: str | None) -> None:
        """Decide for all prompts that contain ``prompt``, or with ``None`` no longer."""
        if fate is None:
            self._by_prompt = {part: kept for part, kept in self._by_prompt.items() if part != prompt}
            return
        if fate not in FATES:
            raise FieldError("fate", f"must be one of {', '.join(FATES)}")
        if prompt not in self._by_prompt and len(self._by_prompt) >= MAX_FATES:
            raise FieldError("fate", f"{MAX_FATES} are set already; clear them first")
        # Replaced as a whole, as another thread may be reading it.
        self._by_prompt = {**self._by_prompt, text("prompt", prompt): fate}

    def clear(self) -> None:
        """Decide for no prompt any more."""
        self._by_prompt = {}

    def decide(self, prompt: str) -> Outcome:
        """
        Return how a job with this prompt ends.

        :raises ModeratedPromptError: when it is not accepted, since moderation refuses the prompt
        :raises AtCapacityError: when it is not accepted, although slots may be free
        """
        # Drawn in any case, so that what is decided for one prompt does not change what becomes of others.
        drawn = self._rng.random()
        fate = next((fate for part, fate in self._by_prompt.items() if part in prompt), None)
        if fate == REFUSED:
            raise ModeratedPromptError("The prompt was moderated")
        if fate == BUSY:
            raise AtCapacityError("PixVerse takes no job with this prompt at the moment")
        if fate is not None:
            return Outcome(fate)
        if drawn < self._failed:
            return Outcome.FAILED
        return Outcome.MODERATED if drawn < self._failed + self._moderated else Outcome.COMPLETED
