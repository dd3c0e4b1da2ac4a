"""The vault keeps what is said of pictures that people rate: addresses, captions, notes, known answers, appeals.

May not import anything of this project. Look next: `app.platform.picture_words`.
"""

from alembic import op

revision = "0008_ratings"
down_revision = "0007_webhooks"

VAULT = """
CREATE TABLE vault.image_set (
  realm bigint NOT NULL, image_set uuid NOT NULL, description text NOT NULL, PRIMARY KEY (realm, image_set));
CREATE TABLE vault.imported_picture (
  realm bigint NOT NULL, picture uuid NOT NULL, image_set uuid NOT NULL, url text NOT NULL, key text NOT NULL,
  caption text, nsfw text, similarity double precision, aesthetic_score double precision, hash text,
  punsafe double precision, pwatermark double precision, PRIMARY KEY (realm, picture));
CREATE INDEX ON vault.imported_picture (realm, image_set, picture);
CREATE TABLE vault.image_import (
  realm bigint NOT NULL, image_set uuid NOT NULL, source uuid NOT NULL, done bigint NOT NULL, added bigint NOT NULL,
  repeated bigint NOT NULL, bad bigint NOT NULL, finished boolean NOT NULL, PRIMARY KEY (realm, image_set, source));
CREATE TABLE vault.rating_note (
  realm bigint NOT NULL, rating uuid NOT NULL, rater uuid NOT NULL, note text NOT NULL, PRIMARY KEY (realm, rating));
CREATE INDEX ON vault.rating_note (realm, rater);
CREATE TABLE vault.rating_origin (
  realm bigint NOT NULL, rating uuid NOT NULL, rater uuid NOT NULL, network uuid NOT NULL, at timestamptz NOT NULL,
  PRIMARY KEY (realm, rating));
CREATE INDEX ON vault.rating_origin (realm, rater);
CREATE INDEX ON vault.rating_origin (realm, at);
CREATE TABLE vault.known_answer (
  realm bigint NOT NULL, picture uuid NOT NULL, image_set uuid NOT NULL, lowest bigint NOT NULL,
  highest bigint NOT NULL, PRIMARY KEY (realm, picture));
CREATE TABLE vault.appeal (
  realm bigint NOT NULL, appeal uuid NOT NULL, rater uuid NOT NULL, note text NOT NULL, PRIMARY KEY (realm, appeal));
CREATE TABLE vault.mirror_wait (
  realm bigint NOT NULL, picture uuid NOT NULL, image_set uuid NOT NULL, attempts bigint NOT NULL,
  due timestamptz NOT NULL, PRIMARY KEY (realm, picture));
CREATE INDEX ON vault.mirror_wait (realm, due);
CREATE INDEX ON vault.mirror_wait (realm, image_set);
GRANT SELECT, INSERT, UPDATE, DELETE ON vault.image_set, vault.imported_picture, vault.image_import,
  vault.mirror_wait, vault.rating_note, vault.rating_origin, vault.known_answer, vault.appeal TO hoard_app;
"""


def upgrade() -> None:
    """Make the tables."""
    op.execute(VAULT)
