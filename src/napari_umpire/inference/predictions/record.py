"""The record of a run: what it takes to do it again, and to see that nothing changed."""

from __future__ import annotations

import platform
import warnings
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_umpire.bounded import parse_yaml, read_text
from napari_umpire.errors import InputError, UmpireWarning
from napari_umpire.inference.predictions.weights import WEIGHTINGS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_umpire.inference.predictions.weights import Weighting

__all__ = ["Method", "RunRecord", "provenance"]

Method = Literal["retrieval", "decoder"]
"""How genes are predicted: from similar spots of a reference, or from the image alone."""

_KINDS = {
    "slide": "a path",
    "model": "a path or a hub name",
    "method": "retrieval or decoder",
    "reference": "a path",
    "k": "a whole number above 0",
    "weighting": " or ".join(WEIGHTINGS),
    "mpp": "a number above 0",
    "image": "a path",
    "region": "a name",
    "device": "a name such as cpu or cuda",
    "batch_size": "a whole number above 0",
    "seed": "a whole number",
    "genes": "a list of names",
    "std": "true or false",
    "name": "a name",
    "provenance": "digests and versions as text",
}
_LARGEST = 5_000_000
_PACKAGES = ("napari-umpire", "torch", "timm", "numpy", "scipy", "anndata", "spatialdata")


def provenance(**digests: str | None) -> dict[str, str]:
    """Digests, package versions and time of a run, as plain text values.

    Parameters
    ----------
    digests
        Such as ``model_digest``, ``reference_digest``, ``slide_digest``; None is left out.
    """
    found = {key: value for key, value in digests.items() if value is not None}
    found["created"] = datetime.now(UTC).isoformat(timespec="seconds")
    found["python"] = platform.python_version()
    for name in _PACKAGES:
        try:
            found[name.replace("-", "_")] = version(name)
        except PackageNotFoundError:
            continue
    return found


@dataclass(frozen=True)
class RunRecord:
    """The options of ``umpire-train predict`` that give this prediction again.

    Attributes
    ----------
    slide, model, reference
        Paths, or a hub name; ``reference`` None means the model's own.
    method
        How it was predicted; records of earlier versions, which could only retrieve, lack it.
    k, weighting
        retrieval: number of references per spot, and how they are weighted.
    mpp
        um per full-resolution px that was used; given back as the user's value on a repeat.
    image, region
        The options of `open_slide`, where they were used.
    device, batch_size, seed
        How it was computed. Nothing in a prediction is random; the seed is the model's to use.
    genes, std, name
        What was written: genes by symbol or id (empty: all), whether with their spread, and the
        name that the table was to have. Records of earlier versions lack them.
    provenance
        What cannot be asked for but can be checked: digests, versions, time.
    """

    slide: str
    model: str
    method: Method = "retrieval"
    reference: str | None = None
    k: int = 50
    weighting: Weighting = "softmax"
    mpp: float | None = None
    image: str | None = None
    region: str | None = None
    device: str = "auto"
    batch_size: int = 64
    seed: int = 0
    genes: tuple[str, ...] = ()
    std: bool = False
    name: str = "umpire"
    provenance: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, unset options left out (tables and stores have no None)."""
        values = asdict(self) | {"genes": list(self.genes)}
        if self.method == "decoder":  # has none to weigh
            del values["k"], values["weighting"]
        return {key: value for key, value in values.items() if value not in (None, [])}

    def to_uns(self) -> dict[str, Any]:
        """As `to_dict`, for a table in a store: bytes of a path that are not text are escaped."""
        return _as_text(self.to_dict())

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RunRecord:
        """Read what `to_dict` made; unknown or missing keys are an `InputError`."""
        known = {f.name for f in fields(cls)}
        unknown, missing = sorted(set(values) - known), sorted({"slide", "model"} - set(values))
        if unknown or missing:
            raise InputError(
                "This is not a run record of this version",
                got=f"unknown keys {unknown}, missing keys {missing}",
                expected=f"keys from {sorted(known)}",
            )
        # A table read from a store gives numpy's numbers and arrays.
        plain = {
            k: v.tolist() if isinstance(v, (np.generic, np.ndarray)) else v
            for k, v in values.items()
        }
        wrong = [k for k, v in plain.items() if not _fits(k, v)]
        if wrong:
            raise InputError(
                f"The run record's {wrong[0]} cannot be this",
                got=repr(plain[wrong[0]]),
                expected=_KINDS[wrong[0]],
                fix="Use the record as it was written",
            )
        plain["genes"] = tuple(plain.get("genes", ()))
        return cls(**plain)

    def to_yaml(self) -> str:
        """The record as YAML that ``umpire-train predict --config`` accepts."""
        import yaml

        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)

    @classmethod
    def from_yaml(cls, text: str) -> RunRecord:
        """Read what `to_yaml` made."""
        values = parse_yaml(text, "The run record")
        if not isinstance(values, dict):
            raise InputError("The run record is not a mapping", got=type(values).__name__)
        return cls.from_dict(values)

    def write(self, path: str | Path) -> Path:
        """Write the YAML to a new file ``path``; an existing one is an `InputError`."""
        path = Path(path)
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(self.to_yaml())
        except FileExistsError as error:
            raise InputError(f"{path} already exists", fix="Choose another name") from error
        return path

    @classmethod
    def read(cls, path: str | Path) -> RunRecord:
        """Read a record file."""
        return cls.from_yaml(read_text(Path(path), limit=_LARGEST, what=f"The run record {path}"))

    def check(self, *, strict: bool = True, **digests: str | None) -> None:
        """Compare digests of the things at hand with those of the run.

        Parameters
        ----------
        strict
            Raise; False warns, for showing an old result rather than repeating it.
        digests
            As given to `provenance`; one that either side lacks is not compared.

        Raises
        ------
        InputError
            Where one differs and `strict`.
        """
        changed = [
            f"{key.removesuffix('_digest')} was {self.provenance[key]} and is {now}"
            for key, now in digests.items()
            if now is not None and self.provenance.get(key, now) != now
        ]
        if not changed:
            return
        problem = f"The run of {self.slide} was made with something else: {'; '.join(changed)}"
        if strict:
            raise InputError(problem, fix="Use the files of that run, or predict anew")
        warnings.warn(problem + ".", UmpireWarning, stacklevel=2)


def _fits(key: str, value: object) -> bool:
    """Whether a value read from a file is of the kind that `RunRecord` holds."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if key in ("k", "batch_size", "seed"):
        return isinstance(value, int) and number and (value > 0 or key == "seed")
    if key == "mpp":
        return value is None or (number and 0 < value < float("inf"))  # type: ignore[operator]
    if key == "std":
        return isinstance(value, bool)
    if key == "genes":
        return isinstance(value, (list, tuple)) and all(isinstance(v, str) for v in value)
    if key == "provenance":
        return isinstance(value, dict) and all(isinstance(v, str) for v in value.values())
    if key == "method":
        return value in ("retrieval", "decoder")
    if key == "weighting":
        return value in WEIGHTINGS
    optional = key in ("reference", "image", "region")
    return (optional and value is None) or (isinstance(value, str) and value != "")


def _as_text(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_text(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_as_text(part) for part in value]
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    return value
