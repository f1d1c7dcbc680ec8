"""The benchmark: what Freshet does in a second and what that costs, beside a stock Faust agent and that of the textbooks."""
