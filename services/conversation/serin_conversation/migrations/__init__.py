"""How the tables of the conversation service came to be what they are, one script a step."""
