-- What every save moves, apart from what stays: many heads share a page, where a timeline's row fills half of one.
CREATE TABLE head (
  timeline INTEGER PRIMARY KEY,
  -- 0 for an empty timeline, which has neither of the others.
  sequence INTEGER NOT NULL,
  memento TEXT,
  head_check TEXT
) STRICT;
INSERT INTO head (timeline, sequence, memento, head_check) SELECT ordinal, head_sequence, head_id, head_check FROM timeline;
ALTER TABLE timeline DROP COLUMN head_sequence;
ALTER TABLE timeline DROP COLUMN head_id;
ALTER TABLE timeline DROP COLUMN head_check;

-- Rows of memento that were not sorted in yet: those of the last commits of many saves, each of another timeline.
CREATE TABLE recent_memento (
  ordinal INTEGER PRIMARY KEY,
  timeline TEXT NOT NULL,
  sequence INTEGER NOT NULL,
  nonce TEXT NOT NULL,
  commit_id INTEGER NOT NULL,
  slot INTEGER NOT NULL
) STRICT;

-- Whoever has the store open as an earlier release made it would miss those rows: its statements find no such column any more.
ALTER TABLE memento RENAME COLUMN removed_by TO removal;

-- Where each memento lies: a row stands in one of the two tables.
CREATE VIEW place AS
  SELECT timeline, sequence, nonce, commit_id, slot, removal FROM memento
  UNION ALL
  SELECT timeline, sequence, nonce, commit_id, slot, 0 FROM recent_memento;
