"""The folder in which Django finds the commands of the app ``django_shim.with_django``."""
