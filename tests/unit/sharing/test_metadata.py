"""The JSON beside a shared picture: complete, without names, and the same bytes every time."""

import json
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest

from app.sharing.metadata import SharedMetadata, UserType, encode


def metadata() -> SharedMetadata:
    return SharedMetadata(
        id="00000000-0000-0000-0000-000000000002",
        set="00000000-0000-0000-0000-000000000001",
        prompt="an owl, über alles 🦉",
        negative_prompt=None,
        width=512,
        height=768,
        steps=30,
        sampler="k_euler_a",
        cfg=7.5,
        karras=True,
        pp=("GFPGAN",),
        seed="4294967295",
        model="stable_diffusion",
        censored=False,
        user_type=UserType.ANON,
        sha256="ab" * 32,
        perceptual_hash="8000000000000000",
        position=42,
        submitted_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        delivered_at=datetime(2026, 1, 2, 5, 4, 5, 6, tzinfo=timezone(timedelta(hours=2))),
    )


def test_the_object_has_the_fields_that_data_sets_know():
    assert json.loads(encode(metadata())) == {
        "id": "00000000-0000-0000-0000-000000000002",
        "set": "00000000-0000-0000-0000-000000000001",
        "prompt": "an owl, über alles 🦉",
        "negative_prompt": None,
        "width": 512,
        "height": 768,
        "steps": 30,
        "sampler": "k_euler_a",
        "cfg": 7.5,
        "karras": True,
        "pp": ["GFPGAN"],
        "seed": "4294967295",
        "model": "stable_diffusion",
        "censored": False,
        "user_type": "anon",
        "sha256": "ab" * 32,
        "perceptual_hash": "8000000000000000",
        "perceptual_hash_algorithm": "phash-dct-64",
        "licence": "CC0-1.0",
        "position": 42,
        "submitted_at": "2026-01-02T03:04:05Z",
        "delivered_at": "2026-01-02T05:04:05.000006+02:00",
    }


def test_the_bytes_are_sorted_and_always_the_same():
    text = encode(metadata())
    keys = list(json.loads(text))
    assert keys == sorted(keys)
    assert text == encode(metadata())
    assert text.endswith(b"}\n")


def test_an_instant_without_offset_is_refused():
    naive = metadata().submitted_at.replace(tzinfo=None)
    with pytest.raises(ValueError, match="offset"):
        encode(msgspec.structs.replace(metadata(), submitted_at=naive))
