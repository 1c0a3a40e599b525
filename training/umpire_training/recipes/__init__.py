"""Recipes: YAML files that `umpire-train VERB --config` reads."""
