"""`LinearProbe`: the class of a spot from its embedding, by multinomial logistic regression."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_umpire.errors import InputError
from napari_umpire.inference.classes.labels import SpotLabels
from napari_umpire.inference.finite import check_finite

if TYPE_CHECKING:
    from napari_umpire.inference.classes.labelled import LabelledSpots

__all__ = ["LinearProbe", "ProbeOptions", "Regression", "fit", "probe_of"]

_MAX_ITERATIONS = 1000


@dataclass(frozen=True)
class ProbeOptions:
    """How a probe is trained and tested.

    Attributes
    ----------
    c
        Inverse strength of the penalty on the weights, scikit-learn's C; None: the best of
        some, chosen by folds inside of what each fold learns from.
    balanced
        Whether each class weighs the same, however few its spots.
    n_folds
        Of a single slide; several slides are held out one by one.
    permutations
        How often the control with shuffled labels is drawn; None: 20 up to 1,000 spots, else 5.
    seed
        Of blocks and permutations.
    """

    c: float | None = 1.0
    balanced: bool = True
    n_folds: int = 5
    permutations: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.c is not None and not self.c > 0:
            raise InputError("C must be above 0", got=self.c, fix="Choose 1, the usual value")
        if self.n_folds < 2:
            raise InputError("There must be at least 2 folds", got=self.n_folds)


@dataclass(frozen=True, eq=False)
class Regression:
    """Multinomial logistic regression on standardised inputs.

    Attributes
    ----------
    mean, scale
        (dim,) float64 of the inputs that were learned from; a constant input has scale 1.
    weight, bias
        (k, dim) and (k,) float64; a class that was not there to be learned has bias -inf.
    converged
        Whether the optimiser came to its end.
    """

    mean: np.ndarray
    scale: np.ndarray
    weight: np.ndarray
    bias: np.ndarray
    converged: bool = True

    def probability(self, x: np.ndarray) -> np.ndarray:
        """Probability of each class, (n, k) float64, rows that sum to 1."""
        logits = ((np.asarray(x, np.float64) - self.mean) / self.scale) @ self.weight.T + self.bias
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        return odds / odds.sum(axis=1, keepdims=True)

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Likeliest class, (n,) int64; the first of equals."""
        return self.probability(x).argmax(axis=1)


def fit(
    x: np.ndarray, codes: np.ndarray, n_classes: int, *, c: float = 1.0, balanced: bool = True
) -> Regression:
    """Learn classes from inputs.

    Parameters
    ----------
    x
        (n, dim) float.
    codes
        (n,) class of each, 0 to ``n_classes`` - 1; at least two of them present.
    """
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    x = np.asarray(x, np.float64)
    mean, scale = x.mean(axis=0), x.std(axis=0)
    # Rounding leaves a constant column a little spread, which would be blown up.
    scale[scale <= 1e-9 * np.maximum(np.abs(mean), 1e-12)] = 1.0
    model = LogisticRegression(
        C=c, class_weight="balanced" if balanced else None, max_iter=_MAX_ITERATIONS
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # `converged` says it
        model.fit((x - mean) / scale, codes)
    weight = np.zeros((n_classes, x.shape[1]))
    bias = np.full(n_classes, -np.inf)
    if len(model.classes_) == 2:  # one row: the log odds of the second class
        weight[model.classes_[1]] = model.coef_[0]
        bias[model.classes_] = 0.0, model.intercept_[0]
    else:
        weight[model.classes_] = model.coef_
        bias[model.classes_] = model.intercept_
    converged = int(np.max(model.n_iter_)) < _MAX_ITERATIONS
    return Regression(mean, scale, weight, bias, converged)


@dataclass(frozen=True, eq=False)
class LinearProbe:
    """Names the class of a spot by its embedding.

    Attributes
    ----------
    name
        What the classes are about, such as the column that they were learned from.
    kind
        What must be embedded: the spots' image or their genes.
    model_digest
        Of the model that must make the embeddings.
    regression
        From embeddings to classes.
    classes, colours
        Names, and "#rrggbb" of each.
    c, balanced
        As `ProbeOptions`; ``c`` is the one that was used.
    training
        Per slide: name, digest, and labelled spots by class.
    scores
        What cross-validation gave, as `probe_check.ProbeScores.to_json`; empty: not tested.
    protocol
        How it was trained and tested, in sentences.
    """

    name: str
    kind: Literal["image", "genes"]
    model_digest: str
    regression: Regression
    classes: tuple[str, ...]
    colours: tuple[str, ...]
    c: float
    balanced: bool
    training: tuple[dict[str, Any], ...] = ()
    scores: dict[str, Any] = field(default_factory=dict)
    protocol: str = ""

    def check(self, kind: str, model_digest: str) -> None:
        """Refuse embeddings of another model or sort: classes of those would mean nothing."""
        if model_digest != self.model_digest:
            raise InputError(
                f"The probe {self.name!r} was trained on embeddings of another model",
                got=f"embeddings of model {model_digest[:16]}",
                expected=f"of model {self.model_digest[:16]}",
                fix="Choose the model that the probe was saved with, or train a new probe",
            )
        if kind != self.kind:
            raise InputError(
                f"The probe {self.name!r} was trained on another sort of embeddings",
                got=f"embeddings of {kind}",
                expected=f"embeddings of {self.kind}",
            )

    def apply(
        self,
        embeddings: np.ndarray,
        kind: Literal["image", "genes"],
        model_digest: str,
        name: str | None = None,
    ) -> SpotLabels:
        """The likeliest class of each spot, and its probability.

        Parameters
        ----------
        embeddings
            (n_spots, dim); a row that is not finite gets no class.
        name
            Of the result; "predicted_<name of the probe>" where not given.

        Raises
        ------
        InputError
            For embeddings of another model, of the other sort, or of another length.
        """
        self.check(kind, model_digest)
        dim = len(self.regression.mean)
        if embeddings.ndim != 2 or embeddings.shape[1] != dim:
            raise InputError(
                f"The embeddings do not fit the probe {self.name!r}",
                got=f"embeddings of shape {embeddings.shape}",
                expected=f"{dim} numbers per spot",
            )
        there = np.isfinite(embeddings).all(axis=1)
        probability = self.regression.probability(np.where(there[:, None], embeddings, 0.0))
        # Weights of 1e300 are finite; what comes of them is not.
        check_finite(f"The classes of the probe {self.name!r}", probability)
        codes = np.where(there, probability.argmax(axis=1), -1)
        best = np.where(there, probability.max(axis=1), np.nan).astype(np.float32)
        return SpotLabels(name or f"predicted_{self.name}", codes, self.classes, self.colours, best)


def probe_of(
    data: LabelledSpots,
    options: ProbeOptions,
    c: float,
    *,
    name: str,
    scores: dict[str, Any],
    protocol: str,
) -> LinearProbe:
    """The probe that is learned from all of ``data``."""
    regression = fit(data.embeddings, data.codes, len(data.classes), c=c, balanced=options.balanced)
    training = tuple(
        {
            "slide": slide,
            "digest": digest,
            "spots": {k: int(n) for k, n in zip(data.classes, counts, strict=True)},
        }
        for slide, digest, counts in zip(
            data.slide_names, data.slide_digests, data.counts, strict=True
        )
    )
    if not regression.converged:
        protocol += f" The fit had not converged after {_MAX_ITERATIONS:,} iterations."
    return LinearProbe(
        name=name,
        kind=data.kind,
        model_digest=data.model_digest,
        regression=regression,
        classes=data.classes,
        colours=data.colours,
        c=c,
        balanced=options.balanced,
        training=training,
        scores=scores,
        protocol=protocol,
    )
