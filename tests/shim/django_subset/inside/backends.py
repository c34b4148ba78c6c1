class User:
    is_authenticated = True
    is_anonymous = False
    is_active = True

    def __init__(self, name):
        self.id = self.pk = self.username = name

    def __str__(self):
        return self.username


class FixedUsers:
    users = ("ann", "bob")

    def get_user(self, user_id):
        return User(user_id) if user_id in self.users else None
