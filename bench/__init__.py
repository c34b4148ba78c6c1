"""The benchmark: the same small app on several servers of group messages, one core for each side."""
