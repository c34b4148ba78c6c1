"""A Django Channels project that behaves in every way that projects do; it runs on Channels and on us."""
