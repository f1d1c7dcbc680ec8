"""The ranker for returning customers: what they bought, what they will buy again, and what beside it.

Pure and compiled: everything is a function of plain arrays, in a worker and in an evaluation alike.
"""
