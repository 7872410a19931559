"""Set-up for each benchmark and parameters, as suites of data frames have it."""

from .common import KINDS, table


class Aggregate:
    params = [list(KINDS), [100, 2000]]
    param_names = ["kind", "rows"]
    timeout = 120

    def setup(self, kind, rows):
        self.rows = table(kind, rows)

    def time_max(self, kind, rows):
        max(self.rows)

    def time_count_distinct(self, kind, rows):
        len(set(self.rows))

    def peakmem_copies(self, kind, rows):
        [list(self.rows) for _ in range(100)]


class Sort:
    """In place: right only if each call finds the rows as the set-up has made them."""

    params = (["int", "str"],)
    param_names = ["kind"]
    timeout = 120

    def setup(self, kind):
        self.rows = table(kind, 500)
        if sorted(self.rows) == self.rows:
            raise ValueError("the rows were sorted before anybody sorted them")

    def time_sort(self, kind):
        if self.rows[0] <= self.rows[1] <= self.rows[2] <= self.rows[3]:
            raise ValueError("the rows are those that another call has sorted")
        self.rows.sort()


class Drain:
    """An iterator that a call uses up."""

    timeout = 120

    def setup(self):
        self.rows = iter(table("int", 1000))

    def time_drain(self):
        if sum(1 for _ in self.rows) != 1000:
            raise ValueError("another call has used the rows up")


class Stated:
    """A benchmark that says how many calls a set-up is good for."""

    number = 5
    repeat = 3
    warmup_time = 0
    timeout = 120

    def setup(self):
        self.rows = table("int", 1000)
        self.left = 5

    def teardown(self):
        del self.rows

    def time_take(self):
        self.left -= 1
        if self.left < 0:
            raise ValueError("more calls than one set-up is good for")
        sum(self.rows)


class Once:
    """A set-up that makes what no call changes: it need not be made again."""

    lockstep_setup = "once"
    params = ["int", "float"]
    param_names = ["kind"]
    timeout = 120

    def setup(self, kind):
        self.rows = table(kind, 1000)

    def time_sum(self, kind):
        sum(self.rows)

    def track_rows(self, kind):
        return len(self.rows)

    track_rows.unit = "rows"
