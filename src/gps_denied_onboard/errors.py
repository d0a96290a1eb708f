"""Errors that carry a sentence for the person who can mend them."""


class UserError(Exception):
    """A mistake in what the user gave; the message says what is wrong and what to do next.

    Only the command line catches it: prints the message and exits with `exit_code`.
    """

    exit_code = 2


class StrategyNotLinkedError(UserError):
    """A configuration asks for a strategy that this image does not contain, or whose library (`missing`: its Python
    module) the machine does not have."""

    def __init__(self, choice: str, name: str, image: str, linked: tuple[str, ...], missing: str = "") -> None:
        names = ", ".join(linked) if linked else "none"
        otherwise = f"build an image whose composition names '{name}'"
        if missing:
            otherwise = f"install what it needs: there is no Python module '{missing}' (_docs/operating-integrator.md)"
        super().__init__(
            f"{choice} strategy '{name}' is not linked into image '{image}'; linked are: {names}. "
            f"Choose one of these in the configuration, or {otherwise}."
        )
        self.choice = choice
        self.name = name
        self.image = image
        self.linked = linked


class EstimatorAlreadyStartedError(RuntimeError):
    """The take-off origin was set after the first measurement had been fused."""
