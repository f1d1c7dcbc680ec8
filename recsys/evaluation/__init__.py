"""Evaluation: how good the recommendations are, on files of events, with the worker's own code and beside known methods."""
