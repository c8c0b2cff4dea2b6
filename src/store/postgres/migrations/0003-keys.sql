-- Bodies may lie under keys (docs/protection.md). A version before this one goes on beside it as long as none does.

-- Keys that new bodies may be under. That a body refers to its key keeps it here; that a key is not here any more keeps a
-- node that does not know it yet from writing under it.
CREATE TABLE clear_keys (
    key text PRIMARY KEY
);
CREATE TABLE sealed_keys (
    key text PRIMARY KEY
);

-- What each node writes under, said again every ten minutes.
CREATE TABLE key_users (
    node text NOT NULL,
    key text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (node, key)
);

-- The key of a body, and what stands sealed before it: with it 'header' is empty and there is no 'digest'. One that was
-- replaced needs no key any more, for nobody opens it anew.
ALTER TABLE clear_blobs ADD COLUMN key text CONSTRAINT clear_blobs_key REFERENCES clear_keys;
ALTER TABLE clear_blobs ADD COLUMN head bytea;
CREATE INDEX clear_blobs_by_key ON clear_blobs (key) WHERE key IS NOT NULL;
ALTER TABLE sealed_blobs ADD COLUMN key text CONSTRAINT sealed_blobs_key REFERENCES sealed_keys;
ALTER TABLE sealed_blobs ADD COLUMN head bytea;
CREATE INDEX sealed_blobs_by_key ON sealed_blobs (key) WHERE key IS NOT NULL;
