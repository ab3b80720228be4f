"""Picture files of every kind that the program reads, drawn here: PIL writes most; what it does not write is put together
by hand."""
import struct
import zlib

import numpy as np
from PIL import Image


def drawing(width, height, channels=3, seed=0):
    """A picture with slopes, edges and noise: [height, width, channels] of 8 bits."""
    noise = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    layers = []
    for channel in range(channels):
        slope = 127 + 90 * np.sin((x * (channel + 1) + 2 * y) / (17 + 5 * channel))
        edges = 60 * ((x // 13 + y // 7 + channel) % 2)
        layers.append(slope + edges - 30 + noise.normal(0, 12, (height, width)))
    return np.clip(np.stack(layers, -1), 0, 255).astype(np.uint8)


def picture(width, height, mode="RGB", seed=0):
    channels = {"RGB": 3, "L": 1, "LA": 2, "RGBA": 4, "CMYK": 4}[mode]
    values = drawing(width, height, channels, seed)
    return Image.fromarray(values[:, :, 0] if channels == 1 else values, mode=mode)


# --- PNG by hand: depths and interlacing that PIL does not write ---------------------------------------------------------

ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
COLOURS = {"grey": (0, 1), "rgb": (2, 3), "palette": (3, 1), "grey+alpha": (4, 2), "rgb+alpha": (6, 4)}


def chunk(kind, content, checksum=None):
    right = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", right if checksum is None else checksum)


def pack_rows(values, depth):
    """values [height, width, channels] of `depth` bits -> filter byte (none) and packed samples, row by row."""
    rows = []
    for row in values.reshape(values.shape[0], -1).astype(np.int64):
        bits = ((row[:, None] >> np.arange(depth - 1, -1, -1)) & 1).astype(np.uint8).ravel()
        rows.append(b"\0" + np.packbits(bits).tobytes())
    return b"".join(rows)


def png(values, colour, depth, *, interlaced=False, palette=None, transparency=None, extra=b""):
    """values [height, width, channels] -> the bytes of a PNG."""
    height, width, channels = values.shape
    number, expected = COLOURS[colour]
    assert channels == expected
    if interlaced:
        passes = [values[y0::dy, x0::dx] for x0, y0, dx, dy in ADAM7]
        data = b"".join(pack_rows(part, depth) for part in passes if part.size)
    else:
        data = pack_rows(values, depth)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, number, 0, 0, interlaced))
    if palette is not None:
        content += chunk(b"PLTE", palette.astype(np.uint8).tobytes())
    if transparency is not None:
        content += chunk(b"tRNS", transparency)
    return content + extra + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def samples(width, height, channels, depth, seed=0):
    """Values of `depth` bits with all of the range in use."""
    wide = drawing(width, height, channels, seed).astype(np.int64)
    if depth == 16:
        return wide * 256 + drawing(width, height, channels, seed + 1)
    return wide >> (8 - depth)


# --- the collection -----------------------------------------------------------------------------------------------------

def write_jpegs(folder):
    save = lambda name, image, **how: image.save(folder / f"{name}.jpg", "JPEG", **how)
    save("photo", picture(640, 480), quality=92)
    save("portrait", picture(333, 517), quality=75)
    save("poor", picture(500, 375), quality=12)
    save("4:4:4", picture(301, 299), quality=90, subsampling=0)
    save("4:2:2", picture(301, 299), quality=90, subsampling=1)
    save("4:2:0 odd", picture(301, 299), quality=90, subsampling=2)
    save("progressive", picture(640, 427), quality=85, progressive=True)
    save("progressive grey", picture(255, 257, "L"), quality=85, progressive=True)
    save("grey", picture(400, 300, "L"))
    save("cmyk", picture(320, 240, "CMYK"), quality=90)
    save("cmyk progressive", picture(231, 345, "CMYK"), quality=90, progressive=True)
    save("optimised", picture(640, 480, seed=3), quality=80, optimize=True)
    save("restart markers", picture(320, 320), quality=80, restart_marker_rows=2)
    for orientation in (3, 6, 8):
        exif = Image.Exif()
        exif[0x0112] = orientation
        save(f"exif {orientation}", picture(320, 200), quality=90, exif=exif)
    for width, height in [(224, 224), (225, 224), (223, 224), (1, 1), (2, 1), (7, 3), (1, 300), (300, 1), (2000, 40), (31, 1999),
                          (447, 449), (1800, 1300), (100, 100)]:
        save(f"{width}x{height}", picture(width, height), quality=90)
    (folder / "a jpeg called.png").write_bytes((folder / "photo.jpg").read_bytes())


def write_pngs(folder):
    save = lambda name, image, **how: image.save(folder / f"{name}.png", "PNG", **how)
    put = lambda name, *arguments, **how: (folder / f"{name}.png").write_bytes(png(*arguments, **how))
    save("rgb", picture(310, 260))
    save("rgba", picture(310, 260, "RGBA"))
    save("grey", picture(260, 310, "L"))
    save("grey alpha", picture(260, 310, "LA"))
    save("palette", picture(300, 250).quantize(200))
    save("palette 16", picture(300, 250).quantize(16))
    save("palette see-through", picture(300, 250).quantize(64), transparency=3)
    save("grey see-through", picture(260, 310, "L"), transparency=100)
    save("rgb see-through", picture(260, 310), transparency=(10, 20, 30))
    save("black and white", picture(300, 241, "L").convert("1"))
    save("16-bit grey by PIL", Image.fromarray(samples(300, 241, 1, 16)[:, :, 0].astype(np.uint16)))
    save("1x1", picture(1, 1))
    save("5x900", picture(5, 900, "RGBA"))
    for colour, depth in [("grey", 1), ("grey", 2), ("grey", 4), ("grey", 8), ("grey", 16), ("rgb", 8), ("rgb", 16), ("grey+alpha", 8),
                          ("grey+alpha", 16), ("rgb+alpha", 8), ("rgb+alpha", 16)]:
        for interlaced in (False, True):
            put(f"{colour} {depth} {'inter' if interlaced else 'no'}", samples(237, 251, COLOURS[colour][1], depth), colour, depth,
                interlaced=interlaced)
    generator = np.random.default_rng(5)
    for depth in (1, 2, 4, 8):
        for interlaced in (False, True):
            put(f"palette {depth} {'inter' if interlaced else 'no'}", samples(233, 251, 1, depth), "palette", depth,
                palette=generator.integers(0, 256, (2**depth, 3)), interlaced=interlaced, transparency=bytes([0, 128]))
    put("tiny interlaced", samples(3, 2, 3, 8), "rgb", 8, interlaced=True)
    gamma = chunk(b"gAMA", struct.pack(">I", 100000)) + chunk(b"pHYs", struct.pack(">IIB", 1, 2, 0))
    put("gamma", samples(240, 230, 3, 8), "rgb", 8, extra=gamma)


def write_webps(folder):
    save = lambda name, image, **how: image.save(folder / f"{name}.webp", "WEBP", **how)
    save("lossy", picture(401, 299), quality=80)
    save("lossy poor", picture(320, 320), quality=5)
    save("lossless", picture(401, 299), lossless=True)
    save("lossy alpha", picture(401, 299, "RGBA"), quality=80, exact=True)
    save("lossless alpha", picture(299, 401, "RGBA"), lossless=True, exact=True)
    save("1x1", picture(1, 1), quality=80)
    save("900x6", picture(900, 6), quality=80)
    save("animated", picture(300, 260), save_all=True, append_images=[picture(300, 260, seed=9)], duration=100)


def write_all(folder):
    """Every file, in one order."""
    for kind, write in (("jpeg", write_jpegs), ("png", write_pngs), ("webp", write_webps)):
        (folder / kind).mkdir(parents=True)
        write(folder / kind)
    return sorted(path for path in folder.rglob("*") if path.is_file())
