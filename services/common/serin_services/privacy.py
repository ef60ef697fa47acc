"""What may be written down about a user: a keyed hash, never the id.

A plain hash of a short id can be guessed back by trying all ids; the key prevents that as long as it is secret.
"""

from hashlib import blake2b


def user_hash(user_id: str, salt: str) -> str:
    """Return 16 hexadecimal digits that stand for `user_id` in logs."""
    return blake2b(user_id.encode(), digest_size=8, key=salt.encode()).hexdigest()
