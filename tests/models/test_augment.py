"""Augmentation: draws by counter, one per picture; what each strength does."""

import numpy as np
import pytest
import torch

from soundfit.models.augment import PictureAugment


def pictures(n=64, size=12, channels=1, seed=0):
    return torch.from_numpy(
        np.random.default_rng(seed).integers(0, 256, (n, size, size, channels), dtype=np.uint8)
    )


def test_the_same_seed_and_step_draw_the_same_and_each_picture_differs():
    x = pictures(1).expand(64, -1, -1, -1)
    a, b = PictureAugment(shift=0.25, flip=0.5, seed=3), PictureAugment(shift=0.25, flip=0.5, seed=3)
    first = a(x)[0]
    assert torch.equal(first, b(x)[0])
    assert len({p.numpy().tobytes() for p in first}) > 20
    assert not torch.equal(first, a(x)[0])
    b.reseed(4)
    assert not torch.equal(first, b(x)[0])


def test_a_shift_moves_by_whole_pixels_with_reflected_edges():
    x = pictures(200)
    seen = PictureAugment(shift=0.25)(x)[0]
    padded = np.pad(x.numpy(), ((0, 0), (3, 3), (3, 3), (0, 0)), mode="reflect")
    places = set()
    for i in range(200):
        hits = [
            (r, c)
            for r in range(7)
            for c in range(7)
            if (padded[i, r : r + 12, c : c + 12] == seen[i].numpy()).all()
        ]
        assert len(hits) == 1
        places.add(hits[0])
    assert len(places) > 40  # of 49


def test_half_of_the_pictures_are_mirrored():
    x = pictures(2_000)
    seen = PictureAugment(flip=0.5)(x)[0]
    same = (seen == x).flatten(1).all(1)
    turned = (seen == x.flip(2)).flatten(1).all(1)
    assert bool((same ^ turned).all())
    assert 0.45 < float(turned.float().mean()) < 0.55


def test_erasing_leaves_the_mean_in_a_rectangle_of_some_pictures():
    x = pictures(400, size=20)
    seen = PictureAugment(erase=0.5)(x)[0]
    changed = seen != x.float()
    share = changed.flatten(1).float().mean(1)
    assert 0.4 < float((share > 0).float().mean()) < 0.6
    assert float(share.max()) < 0.25
    at = int(share.argmax())
    assert torch.allclose(seen[at][changed[at]], x[at].float().mean().expand(int(changed[at].sum())))


def test_colour_stays_a_picture_and_a_mixture_says_its_share():
    x = pictures(64, channels=3)
    seen, share = PictureAugment(colour=0.5)(x)
    assert float(seen.min()) >= 0
    assert float(seen.max()) <= 255
    assert bool((share == 1).all())
    mixed, share = PictureAugment(mixup=1.0)(x)
    own = share.view(-1, 1, 1, 1)
    assert torch.allclose(mixed, own * x.float() + (1 - own) * x.float().roll(1, 0), atol=1e-3)
    assert float(share.min()) >= 0.5
    assert float(share.std()) > 0.05


def test_a_strength_out_of_range_is_refused():
    with pytest.raises(ValueError, match="between 0 and 1"):
        PictureAugment(flip=2.0)
