-- What several nodes share. Plain SQL: no extension, no function, no trigger.

-- Messages, each with one recipient.
CREATE TABLE records (
    id uuid PRIMARY KEY,
    state text NOT NULL,
    body text NOT NULL
);
CREATE INDEX records_by_state ON records (state, id);

-- Marks against repetition, and references.
CREATE TABLE notes (
    key text COLLATE "C" PRIMARY KEY,
    value text NOT NULL
);

-- Work. `free` is when a job may be claimed: when it is due, or when its lease ends. The token tells its claimant from
-- those before; 0 is of nobody.
CREATE SEQUENCE tokens;
CREATE TABLE jobs (
    id uuid PRIMARY KEY,
    queue text NOT NULL,
    record uuid NOT NULL,
    due timestamptz NOT NULL,
    attempt bigint NOT NULL,
    note text NOT NULL,
    free timestamptz NOT NULL,
    token bigint NOT NULL DEFAULT 0,
    holder text
);
CREATE INDEX jobs_by_due ON jobs (queue, due, id);
CREATE INDEX jobs_by_free ON jobs (queue, free);

-- Steps that were applied, for an hour: who did not hear the answer to a commit finds it here.
CREATE TABLE steps (
    id uuid PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX steps_by_time ON steps (at);

-- Events as steps told them, until they are chained into the journal.
CREATE SEQUENCE told_order;
CREATE TABLE told (
    id bigint PRIMARY KEY DEFAULT nextval('told_order'),
    events text NOT NULL
);

-- The journal: one line a step, each with the hash of the one before (docs/audit.md). Only ever added to.
CREATE TABLE journal (
    seq bigint PRIMARY KEY,
    event bigint NOT NULL,
    line text NOT NULL
);
CREATE INDEX journal_by_event ON journal (event, seq);
CREATE TABLE journal_end (
    one integer PRIMARY KEY CHECK (one = 1),
    seq bigint NOT NULL,
    event bigint NOT NULL,
    hash text NOT NULL
);
INSERT INTO journal_end VALUES (1, 0, 0, repeat('0', 64));

-- Bodies in the clear: mails, messages, their receipts. A body has a name of its own beside the blob's, so that one that is
-- replaced stays whole for those who read it.
CREATE TABLE clear_blobs (
    body uuid PRIMARY KEY,
    id uuid NOT NULL,
    kind text NOT NULL,
    header text NOT NULL,
    begun timestamptz NOT NULL DEFAULT now(),
    written timestamptz,
    octets bigint,
    digest bytea,
    replaced timestamptz
);
CREATE UNIQUE INDEX clear_blobs_by_id ON clear_blobs (id) WHERE written IS NOT NULL AND replaced IS NULL;
CREATE INDEX clear_blobs_left ON clear_blobs (begun) WHERE written IS NULL OR replaced IS NOT NULL;
CREATE TABLE clear_parts (
    body uuid NOT NULL REFERENCES clear_blobs ON DELETE CASCADE,
    part integer NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (body, part)
);

-- Bodies that are sealed, or hold nothing that was: envelopes, AS4 requests and signals. All that an access point needs.
CREATE TABLE sealed_blobs (
    body uuid PRIMARY KEY,
    id uuid NOT NULL,
    kind text NOT NULL,
    header text NOT NULL,
    begun timestamptz NOT NULL DEFAULT now(),
    written timestamptz,
    octets bigint,
    digest bytea,
    replaced timestamptz
);
CREATE UNIQUE INDEX sealed_blobs_by_id ON sealed_blobs (id) WHERE written IS NOT NULL AND replaced IS NULL;
CREATE INDEX sealed_blobs_left ON sealed_blobs (begun) WHERE written IS NULL OR replaced IS NOT NULL;
CREATE TABLE sealed_parts (
    body uuid NOT NULL REFERENCES sealed_blobs ON DELETE CASCADE,
    part integer NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (body, part)
);
