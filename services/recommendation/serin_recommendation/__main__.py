"""`python -m serin_recommendation` serves the recommendation API."""

from serin_recommendation.main import main

main()
