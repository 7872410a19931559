"""What does none of its work when it is called, but for `time_awaited`."""
import asyncio


async def time_coroutine():
    return sum(range(1000))


async def time_asynchronous_generator():
    yield 1


def time_generator():
    yield from range(1000)


class SetUp:
    async def setup(self):
        self.value = 1

    def time_value(self):
        return self.value


def time_awaited():
    return asyncio.run(asyncio.sleep(0, 5))
