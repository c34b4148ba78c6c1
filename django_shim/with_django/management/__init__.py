"""Where Django looks for the commands of the app ``django_shim.with_django``."""
