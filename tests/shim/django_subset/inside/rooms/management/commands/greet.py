from django.core.management.base import BaseCommand, CommandError


class Command(BaseCommand):
    help = "Greets people."

    def add_arguments(self, parser):
        parser.add_argument("names", nargs="+")
        parser.add_argument("--shout", action="store_true")
        parser.add_argument("--times", type=int, default=1)
        parser.add_argument("--tone", required=False, choices=["kind", "rude"], default="kind")

    def handle(self, *args, **options):
        if "nobody" in options["names"]:
            raise CommandError("nobody is not here", returncode=3)
        text = f"Hello {', '.join(options['names'])}" * options["times"]
        self.stdout.write(self.style.SUCCESS(text.upper() if options["shout"] else text))
        self.stderr.write("done")
        return None if options["tone"] == "kind" else "hm"
