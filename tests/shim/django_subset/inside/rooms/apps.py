from django.apps import AppConfig


class RoomsConfig(AppConfig):
    default_auto_field = "django.db.models.BigAutoField"
    name = "tests.shim.django_subset.inside.rooms"
    verbose_name = "The rooms"
    was_ready = 0

    def ready(self):
        type(self).was_ready += 1
