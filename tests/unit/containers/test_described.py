from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from sandbox.containers.described import outputs


@given(frames=st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=300))))
def test_what_a_program_wrote_is_whole_and_told_apart(frames: list[tuple[int, bytes]]) -> None:
    stream = b"".join(struct.pack(">BxxxL", kind, len(said)) + said for kind, said in frames)
    assert outputs(stream) == tuple(b"".join(said for kind, said in frames if kind == each) for each in (1, 2))
