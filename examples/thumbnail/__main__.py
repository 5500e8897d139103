"""Makes a small JPEG of a picture that comes as base64 text."""

import base64
import io

from PIL import Image


def main(args):
    """`image`: base64; `edge`: the longest edge of the thumbnail in pixels (96)."""
    edge = int(args.get("edge", 96))
    picture = Image.open(io.BytesIO(base64.b64decode(args["image"])))
    before = picture.size
    picture = picture.convert("RGB")
    picture.thumbnail((edge, edge))
    print(f"{before[0]}x{before[1]} -> {picture.width}x{picture.height}")
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=85)
    return {
        "thumbnail": base64.b64encode(out.getvalue()).decode(),
        "width": picture.width,
        "height": picture.height,
        "before": before,
    }
