"""`python -m serin_conversation` serves the conversation API."""

from serin_conversation.main import main

main()
