"""The guide's code does what the guide says."""

import re
from pathlib import Path

GUIDE = Path(__file__).parents[3] / "docs" / "src" / "python.md"


def test_every_block_of_the_guide_runs() -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.M | re.S)
    assert len(blocks) == 5
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(GUIDE), "exec"), names)
