from __future__ import annotations

import io
import struct

from hypothesis import given
from hypothesis import strategies as st

from sandbox.containers.wire import STDERR, STDOUT, frames


class Dribble(io.BytesIO):
    """Gives less than is asked for, as a connection does."""

    def read(self, amount: int | None = -1, /) -> bytes:
        """Give at most seven bytes."""
        return super().read(min(7, amount or 0))


@given(written=st.lists(st.tuples(st.sampled_from([STDOUT, STDERR]), st.binary(max_size=300))))
def test_what_a_program_wrote_is_whole_and_told_apart(written: list[tuple[int, bytes]]) -> None:
    stream = b"".join(struct.pack(">BxxxL", kind, len(said)) + said for kind, said in written)
    assert list(frames(Dribble(stream))) == written
