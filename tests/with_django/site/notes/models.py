"""Notes; whoever looks at the page sees a new one at once, wherever it was written."""

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.conf import settings
from django.db import models, transaction
from django.db.models.signals import post_save
from django.dispatch import receiver


class Note(models.Model):
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    text = models.CharField(max_length=200)

    def __str__(self):
        return self.text


@receiver(post_save, sender=Note)
def tell(sender, instance, **kwargs):
    event = {"type": "note.written", "text": instance.text, "author": instance.author.username}
    send = async_to_sync(get_channel_layer().group_send)
    transaction.on_commit(lambda: send("notes", event))  # the admin saves in a transaction
