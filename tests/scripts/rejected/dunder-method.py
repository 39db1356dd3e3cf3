class Lazy:
    def __getattr__(self, name):
        return name

    def __del__(self):
        print("gone")


result = Lazy().name
