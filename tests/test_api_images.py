"""A picture of one's own becomes one like the data set's; what is none is refused before it costs anything."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engine import api_images, api_trial
from engine.errors import InputError

TASK = "fashion_mnist"


def saved(picture: Image.Image, kind: str = "PNG", **more: Any) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **more)
    return stream.getvalue()


class TestOwnPictures:
    shirt = np.zeros((60, 60), np.uint8)
    shirt[10:50, 20:40] = 200

    def test_an_image_of_the_data_set_comes_back_as_it_is(self) -> None:
        for pixels in api_images.validation(TASK).pixels[:20]:
            found = api_trial.prepare_image(saved(Image.fromarray(pixels)))
            if found.done == ("inverted",):  # a few fill their whole border
                assert np.array_equal(found.pixels, 255 - pixels)
            else:
                assert found.done == ()
                assert np.array_equal(found.pixels, pixels)

    def test_a_photograph_on_a_light_ground(self) -> None:
        picture = Image.fromarray(255 - self.shirt).convert("RGB")
        found = api_trial.prepare_image(saved(picture, "JPEG", quality=95))
        assert found.done == ("greyed", "inverted", "trimmed", "stretched", "resized")
        assert found.pixels.shape == (28, 28)
        assert found.pixels.dtype == np.uint8
        rows, columns = (np.flatnonzero((found.pixels > 128).any(axis)) for axis in (1, 0))
        assert rows.tolist() == list(range(28)), "as high as the image"
        assert (columns[0], columns[-1]) == (7, 20), "in proportion and in the middle"
        assert found.pixels[14, 14] > 240
        assert np.array_equal(api_trial.read_image(saved(picture, "JPEG", quality=95)), found.pixels)

    @pytest.mark.parametrize("shade", [255, 0])
    def test_what_is_transparent_is_ground(self, shade: int) -> None:
        clear = np.zeros((60, 60, 4), np.uint8)
        clear[10:50, 20:40] = (shade, shade, shade, 255)
        found = api_trial.prepare_image(saved(Image.fromarray(clear)))
        assert found.done[0] == "flattened"
        assert found.pixels[14, 14] > 240
        assert found.pixels[14, 0] == 0

    def test_the_camera_was_turned(self) -> None:
        picture = Image.fromarray(self.shirt)
        exif = Image.Exif()
        exif[0x0112] = 6
        found = api_trial.prepare_image(saved(picture, "JPEG", exif=exif))
        assert found.done[0] == "rotated"
        assert (found.pixels > 128).any(0).sum() == 28, "upright becomes lying"

    @pytest.mark.parametrize("data", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n" + b"x" * 40, b"\xff\xd8\xff" + b"0" * 99])
    def test_other_files_are_refused(self, data: bytes) -> None:
        with pytest.raises(InputError, match="PNG or JPEG"):
            api_trial.read_image(data)

    def test_a_file_that_is_cut_is_refused(self) -> None:
        noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 200), np.uint8))
        with pytest.raises(InputError, match="PNG or JPEG"):
            api_trial.read_image(saved(noise)[:9000])

    def test_a_gif_by_another_name_is_refused(self) -> None:
        with pytest.raises(InputError, match="PNG or JPEG"):
            api_trial.read_image(saved(Image.fromarray(self.shirt), "GIF"))

    def test_sizes_are_limited_before_anything_is_decoded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(InputError, match="at most 5,000,000 bytes"):
            api_trial.read_image(b"0" * 5_000_001)
        bomb, tiny = (saved(Image.new("L", size)) for size in ((6000, 5000), (4, 4)))
        monkeypatch.setattr(Image.Image, "load", lambda *_args: pytest.fail("decoded"))
        with pytest.raises(InputError, match="6000 x 5000 pixels"):
            api_trial.read_image(bomb)
        with pytest.raises(InputError, match="4 x 4 pixels"):
            api_trial.read_image(tiny)

    def test_one_colour_shows_nothing(self) -> None:
        with pytest.raises(InputError, match="plain ground"):
            api_trial.read_image(saved(Image.new("RGB", (50, 50), (90, 90, 90))))
