"""The parts of the chat: its consumer, its history, its protection, and messages from other code."""
