"""The scenes of the tour, in the order in which they are played."""

from scenes import seeing, groups, answers  # isort: skip - in order of the tour
from scenes.stage import SCENES, Stage

__all__ = ["SCENES", "Stage", "answers", "groups", "seeing"]
