"""How good the events of a file are: what is missing, wrong, out of the ordinary, repeated or out of order."""
