"""The topics: their names, their cleanup policies, and who makes them when they are missing."""

EVENTS = "events"
RECOMMENDATIONS = "recommendations"
REJECTED = "rejected"

CLEANUP = {EVENTS: "delete", RECOMMENDATIONS: "compact", REJECTED: "delete"}
"""Every topic of this version with its `cleanup.policy`."""
