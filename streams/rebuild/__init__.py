"""The rebuild: the state is built anew from the log beside the live one, compared with it, and takes its place in one step."""
