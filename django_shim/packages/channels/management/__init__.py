"""The folder in which Django finds the commands of the app ``channels``."""
