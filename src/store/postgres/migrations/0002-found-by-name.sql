-- The journal is found by what its lines name, and forgotten by how old they are. A version before this one goes on beside it:
-- what it adds is named a second later, by a node that can.

-- Hashes of the ids and of the hours that a line names (postgres/names.rs): they may say too much, never too little.
ALTER TABLE journal ADD COLUMN names integer[];
CREATE INDEX journal_by_name ON journal USING gin (names);
CREATE INDEX journal_unnamed ON journal (seq) WHERE names IS NULL;

-- When it became a line, by the database's clock.
ALTER TABLE journal ADD COLUMN chained timestamptz NOT NULL DEFAULT now();
CREATE INDEX journal_by_time ON journal (chained);

-- Lines before this one are no longer kept, which the journal says; 0: all are.
ALTER TABLE journal_end ADD COLUMN pruned bigint NOT NULL DEFAULT 0;
