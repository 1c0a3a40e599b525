"""What the tables have in common that train their rows fold by fold."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from napari_umpire.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from umpire_training.benchmark.leave_out import FoldPlan
    from umpire_training.benchmark.methods import Method
    from umpire_training.benchmark.row import Measure
    from umpire_training.verbs.benchmark import Options

__all__ = ["Rows", "prepare_rows"]


@dataclass(frozen=True)
class Rows:
    """The rows of a table, checked, with the slides they are trained on.

    Attributes
    ----------
    plan
        What is held out.
    """

    options: Options
    methods: list[Method]
    plan: FoldPlan

    def beginning_with(self, name: str, digest: str, words: str) -> Rows:
        """The same rows, of a run that must also find ``name`` again: see `same_slides`."""
        start = {**self.plan.start, name: (digest, words)}
        return replace(self, plan=replace(self.plan, start=start))

    def train(self, folder: Path, measure: Measure | None = None) -> list[dict[str, Any]]:
        """Train and score all rows of all folds; one result per held-out slide."""
        from umpire_training.benchmark.leave_out import train_folds

        options = self.options
        return train_folds(
            self.plan,
            options,
            self.methods,
            folder,
            keep=options.keep_models,
            measure=measure,
        )


def prepare_rows(options: Options, methods: list[Method], *, scored: bool = True) -> Rows:
    """Refuse before any work what cannot be trained.

    Parameters
    ----------
    scored
        See `plan_folds`.

    Raises
    ------
    InputError
        Naming the row.
    """
    from napari_umpire.inference.devices import pick_device
    from umpire_training.benchmark.encoder_checks import check_encoders
    from umpire_training.benchmark.leave_out import check_protocol, plan_folds
    from umpire_training.benchmark.row import check_method

    if not methods:
        raise InputError(
            f"There is no row of {options.table} to train",
            expected=f"rows under methods: {options.table}: in a recipe",
            fix="Start from the recipe benchmark-small: --config benchmark-small",
        )
    check_protocol(options)
    pick_device(options.device)
    for method in methods:
        try:
            check_method(method.settings)
            check_encoders(method.settings, options.patches)
        except InputError as error:
            raise InputError(f"Row {method.name!r} cannot be trained", got=error) from error
    return Rows(options, methods, plan_folds(options, methods, scored=scored))
