"""The benchmark: the same small application on several servers of group messages, one core for each side."""
