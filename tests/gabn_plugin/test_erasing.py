# SPDX-License-Identifier: MIT
import pytest
import torch

from arcface_fair.errors import UserError
from gabn_plugin.erasing import (
    check_rectangles,
    erase,
    most_sensitive,
    random_pixels,
    random_sides,
    rectangle_mask,
)


def one_by_one(centres, heights, widths, size):
    """The same mask with a loop over images and rectangles, as Algorithm 1 prints it."""
    mask = torch.zeros(len(centres), *size, dtype=torch.bool)
    for image in range(len(centres)):
        for centre, height, width in zip(
            centres[image], heights[image], widths[image], strict=True
        ):
            row, column = divmod(int(centre), size[1])
            top, left = row - (int(height) - 1) // 2, column - (int(width) - 1) // 2
            rows = slice(max(top, 0), top + int(height))
            mask[image, rows, max(left, 0) : left + int(width)] = True
    return mask


def test_all_images_at_once_equal_one_rectangle_after_the_other():
    generator = torch.Generator().manual_seed(0)
    size = (13, 17)
    centres = random_pixels(50, 6, 13 * 17, generator)
    heights, widths = random_sides(50, 6, 5, 9, generator)
    mask = rectangle_mask(centres, heights, widths, size)
    assert torch.equal(mask, one_by_one(centres, heights, widths, size))


def test_the_centre_is_always_erased_and_a_side_of_one_erases_it_alone():
    centres = torch.tensor([[0, 24, 12]])
    one = torch.ones_like(centres)
    mask = rectangle_mask(centres, one, one, (5, 5))
    assert mask.flatten(1).nonzero()[:, 1].tolist() == [0, 12, 24]


def test_sides_are_drawn_from_one_to_the_largest():
    heights, widths = random_sides(200, 20, 3, 10, torch.Generator().manual_seed(1))
    assert heights.unique().tolist() == [1, 2, 3]
    assert widths.unique().tolist() == list(range(1, 11))


def test_the_same_seed_draws_the_same_rectangles_and_another_seed_others():
    first, again, other = (
        random_sides(4, 20, 10, 10, torch.Generator().manual_seed(seed))[0] for seed in (5, 5, 6)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_most_sensitive_pixels_are_the_largest_of_the_map():
    maps = torch.rand(3, 8, 9, generator=torch.Generator().manual_seed(2))
    found = maps.flatten(1).gather(1, most_sensitive(maps, 7)).sort(1).values
    torch.testing.assert_close(found, maps.flatten(1).sort(1).values[:, -7:])


def test_more_rectangles_than_pixels_take_every_pixel():
    assert most_sensitive(torch.rand(2, 3, 3), 20).shape == (2, 9)


def test_erasing_fills_the_mask_and_leaves_the_rest_and_the_original():
    images = torch.rand(2, 3, 4, 4) + 1
    before = images.clone()
    mask = torch.zeros(2, 4, 4, dtype=torch.bool)
    mask[0, 1:3, 2] = True
    erased = erase(images, mask, 0.25)
    assert torch.equal(images, before)
    assert (erased[0, :, 1:3, 2] == 0.25).all()
    assert (erased != before).sum() == 6


@pytest.mark.parametrize(
    ("height", "width", "message"),
    [(113, 5, "gabn.height is 113 pixels but the images have 112"), (5, 200, "gabn.width is 200")],
)
def test_a_rectangle_larger_than_the_image_is_refused(height, width, message):
    with pytest.raises(UserError, match=message):
        check_rectangles(height, width, (112, 112))
