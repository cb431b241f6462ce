"""Find pictures that show the same thing; the functions are the core's, since evaluation finds leaks with them."""

from iconoclip.near_duplicates import CROPS, UnionFind, content_box, group_duplicates, hash_views, perceptual_hash

__all__ = ["CROPS", "UnionFind", "content_box", "group_duplicates", "hash_views", "perceptual_hash"]
