"""What takes address space and hardly any memory, as an address sanitizer does."""

import mmap

RESERVED = mmap.mmap(-1, 1 << 40, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000)  # MAP_NORESERVE


def time_reads_a_byte():
    return RESERVED[1 << 30]
