"""The art that training needs, in one small file, for machines without npm and without an SVG renderer.

    python art_cache.py --art DIR_WITH_node_modules --out art.zip     # some MB; then: python sprites.py --art art.zip …

Every object of vocabulary.py in its four art sets, cropped, 256 px, lossy WebP of high quality with exact transparency. Licences: ../MODEL_CARD.md.
"""

import argparse
import io
import zipfile
from pathlib import Path

from PIL import Image

from sprites import MASTER, load_art, square
from vocabulary import OBJECTS, STYLES

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--art", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    a = parser.parse_args()
    sources = sorted({source for source, _, _ in STYLES.values()})
    with zipfile.ZipFile(a.out, "w", zipfile.ZIP_STORED) as archive:
        for source in sources:
            for name, code in OBJECTS.items():
                packed = io.BytesIO()
                square(load_art(a.art / "node_modules", source, code)).resize((MASTER, MASTER), Image.LANCZOS).save(packed, "WEBP", quality=92, alpha_quality=100, method=2)
                archive.writestr(f"{source}/{code}.webp", packed.getvalue())
    print(f"{len(sources) * len(OBJECTS)} pictures, {a.out.stat().st_size / 2**20:.1f} MiB")
