"""The recommender: what is counted, how it is ranked, and where it is kept. It knows Redis, never Kafka."""
