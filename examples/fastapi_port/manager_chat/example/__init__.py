"""What the chat is made of: its consumer, its history, and how other code speaks to it."""
