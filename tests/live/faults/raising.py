def time_in_the_body():
    raise ValueError("planted in the body")


def time_with_a_text_that_no_file_takes():
    raise ValueError("planted \udc80")


def time_interrupts_itself():
    raise KeyboardInterrupt


class InSetup:
    def setup(self):
        raise OSError("planted in setup")

    def time_nothing(self):
        pass


class Later:
    calls = 0

    def time_after_a_while(self):
        self.calls += 1
        if self.calls > 20:
            raise ValueError("planted in call 21")
