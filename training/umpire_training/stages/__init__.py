"""The stages of training as functions, for the verbs and for the folds of an evaluation."""
