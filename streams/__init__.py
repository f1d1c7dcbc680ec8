"""The shell around the recommender: Kafka through Faust, the commands, and what brings a system up."""
