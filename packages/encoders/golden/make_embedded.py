"""Ids and offsets of the embedded model's tokenizers by the Rust library, for src/text/tokenizer.test.ts: the texts of the file, encoded anew.

    python make_embedded.py [--tokenizers ../../model/tokenizers]      # needs `tokenizers`; whenever the model's tokenizers change
"""

import argparse
import json
from pathlib import Path

from tokenizers import Tokenizer

HERE = Path(__file__).parent
FILE = HERE.parent / "src/text/tokenizer.golden.json"


def utf16(text, index):
    """Code points → UTF-16 units, which JavaScript counts in."""
    return len(text[:index].encode("utf-16-le")) // 2


def encoded(tokenizer, text):
    made = tokenizer.encode(text)
    return {"ids": made.ids, "offsets": [[utf16(text, start), utf16(text, end)] for start, end in made.offsets]}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizers", type=Path, default=HERE.parent.parent / "model/tokenizers")
    a = parser.parse_args()
    tokenizers = {name: Tokenizer.from_file(str(a.tokenizers / f"{name}-tokenizer.json")) for name in ("t5", "clip")}
    texts = [golden["text"] for golden in json.loads(FILE.read_text())]
    FILE.write_text(json.dumps([{"text": text} | {name: encoded(t, text) for name, t in tokenizers.items()} for text in texts], ensure_ascii=False) + "\n")
