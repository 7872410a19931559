"""Whether two interpreters behave alike: CPython's own tests, and random sequences of operations on io.BytesIO.

`inside` and `tests_inside` run in the interpreters. `pair` asks both the same, `sequences` draws what they are asked,
`script` makes a program of what they differ in; `own_tests` runs CPython's tests, with the modules that
`helpers` builds beside for them.
"""
