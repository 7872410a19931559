"""What an object file takes up in a link, and what has to be added so that two versions take up the same."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from runner.builds.layouts import Command
from runner.builds.slots import Section, extents, larger, parse, source
from runner.model import Arm

LISTING = """
There are 25 section headers, starting at offset 0x5d38:

  [Nr] Name              Type            Address          Off    Size   ES Flg Lk Inf Al
  [ 0]                   NULL            0000000000000000 000000 000000 00      0   0  0
  [ 1] .text             PROGBITS        0000000000000000 000040 001b89 00  AX  0   0 16
  [ 2] .rela.text        RELA            0000000000000000 004a10 000f18 18   I 22   1  8
  [ 3] .data             PROGBITS        0000000000000000 001bc9 000000 00  WA  0   0  1
  [ 4] .bss              NOBITS          0000000000000000 001bc9 000010 00  WA  0   0  8
  [ 5] .rodata.str1.8    PROGBITS        0000000000000000 001bd0 0001eb 01 AMS  0   0  8
  [13] .rodata           PROGBITS        0000000000000000 002560 000b22 00   A  0   0 32
  [15] .note.GNU-stack   PROGBITS        0000000000000000 0030b0 000000 00      0   0  1
  [17] .eh_frame         PROGBITS        0000000000000000 0030b8 0006f0 00   A  0   0  8
  [18] .debug_info       PROGBITS        0000000000000000 0030b8 0006f0 00      0   0  1
"""


def test_loaded_sections_that_are_not_empty_are_read() -> None:
    assert parse(LISTING) == {
        ".text": Section(flags="AX", kind="progbits", size=0x1B89, align=16),
        ".bss": Section(flags="WA", kind="nobits", size=0x10, align=8),
        ".rodata.str1.8": Section(flags="AMS", kind="progbits", size=0x1EB, align=8),
        ".rodata": Section(flags="A", kind="progbits", size=0xB22, align=32),
    }


def test_sections_that_the_linker_gathers_take_up_what_lies_between_them_too() -> None:
    whole = extents(parse(LISTING))
    assert whole[".rodata"].size == 0x200 + 0xB22  # the second begins at the next multiple of 32
    assert whole[".rodata"].align == 32
    assert set(whole) == {".text", ".bss", ".rodata"}


names = st.sampled_from([".text", ".text.hot", ".text.unlikely.f", ".rodata", ".rodata.str1.1", ".data", ".own"])
sections = st.dictionaries(
    names, st.builds(Section, flags=st.just("A"), kind=st.just("progbits"), size=st.integers(1, 500),
                     align=st.sampled_from([1, 8, 16, 64])),
)


@given(sections, sections)
def test_a_slot_has_room_for_both_versions(one: dict[str, Section], other: dict[str, Section]) -> None:
    slot = larger(extents(one), extents(other))
    sizes = {kind: whole.size for kind, whole in larger(extents(other), extents(one)).items()}
    assert sizes == {kind: whole.size for kind, whole in slot.items()}, "the arms' order does not matter"
    for version in (one, other):
        for kind, taken in extents(version).items():
            assert slot[kind].size >= taken.size and slot[kind].align >= taken.align
    assert all(any(kind in extents(v) and extents(v)[kind].size == whole.size for v in (one, other))
               for kind, whole in slot.items()), "no more room than the larger of them needs"


def test_the_filler_is_an_assembler_file() -> None:
    text = source(parse(LISTING), {".text": 48, ".bss": 8}, aligned=True)
    assert text.splitlines() == [
        '.section .text,"ax",@progbits', ".balign 16", ".skip 48", '.section .bss,"aw",@nobits', ".balign 8", ".skip 8",
        '.section .note.GNU-stack,"",@progbits',
    ]
    assert ".balign" not in source(parse(LISTING), {".text": 48}, aligned=False)


def test_a_slot_stands_where_its_object_file_would_in_both_arms() -> None:
    names = [f"Objects/{number}.o" for number in range(60)]
    commands = {
        Arm.BASE: Command(start=("gcc",), objects=tuple(names), end=("-lm",)),
        Arm.HEAD: Command(start=("gcc",), objects=(*names[:30], *names[31:], "Objects/new.o"), end=("-lm",)),
    }
    slots = {
        arm: {"Objects/30.o": (f"/{arm.value}/30-start.o", f"/{arm.value}/30-rest.o"),
              "Objects/new.o": (f"/{arm.value}/new-start.o", f"/{arm.value}/new-rest.o")} for arm in Arm
    }
    words = {arm: commands[arm].words(Path("/out"), None, 7, slots[arm]) for arm in Arm}
    assert [word.replace("/base/", "/head/") for word in words[Arm.BASE]] == words[Arm.HEAD]
    assert commands[Arm.BASE].words(Path("/out"), None, 7) != words[Arm.BASE]
