"""A line of text above a picture."""

import functools

import numpy as np
from jaxtyping import UInt8

HEIGHT = 32
"""Of the strip in pixels; pictures of 480 become 512, which video codecs like."""
WIDTH = 480
"""Pictures are at least as wide, so that the text can be read: small ones are enlarged."""
_POINTS, _LEFT, _BASE = 13, 8, 22


def captioned(
    picture: UInt8[np.ndarray, "height width 3"], text: str
) -> UInt8[np.ndarray, "taller wider 3"]:
    """The picture below a black strip with `text` in white, cut where the picture ends."""
    picture = _wide(picture)
    strip = np.zeros((HEIGHT, picture.shape[1], 3), np.uint8)
    glyphs = _drawn(text)[:, : strip.shape[1] - _LEFT]
    top = max(0, _BASE - len(glyphs) + 4)
    glyphs = glyphs[: HEIGHT - top]
    strip[top : top + len(glyphs), _LEFT : _LEFT + glyphs.shape[1]] = glyphs[..., None]
    return np.concatenate([strip, picture])


def _wide(picture: np.ndarray) -> np.ndarray:
    """Enlarged by a whole number, and framed in black up to `WIDTH`."""
    times = max(1, WIDTH // picture.shape[1])
    picture = picture.repeat(times, axis=0).repeat(times, axis=1)
    missing = max(0, WIDTH - picture.shape[1])
    return np.pad(picture, ((0, 0), (missing // 2, missing - missing // 2), (0, 0)))


def _drawn(text: str) -> np.ndarray:
    """White glyphs on black, (height, width) uint8."""
    font = _font()
    font.set_text(text)
    font.draw_glyphs_to_bitmap(antialiased=True)
    return np.asarray(font.get_image(), np.uint8)


@functools.cache
def _font():
    from matplotlib import font_manager, ft2font

    font = ft2font.FT2Font(font_manager.findfont("DejaVu Sans Mono"))
    font.set_size(_POINTS, 72)
    return font
