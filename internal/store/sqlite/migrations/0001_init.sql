-- Schema 1. Every table of the store's schema: its key, the revision of its
-- newest put, the columns that can be asked for, and the body. Every index that
-- is not unique ends in the key, so that a page ordered by it needs no sort.
-- Watched tables have an index of revisions.

CREATE TABLE schema_version (
  version INTEGER NOT NULL PRIMARY KEY,
  applied INTEGER NOT NULL -- UTC nanoseconds
) STRICT;

-- One row: the newest revision given out.
CREATE TABLE store_state (
  one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
  revision INTEGER NOT NULL
) STRICT;
INSERT INTO store_state (one, revision) VALUES (1, 0);

-- Deletions in watched tables that a watch can still be told of.
CREATE TABLE store_tombstone (
  revision INTEGER NOT NULL PRIMARY KEY,
  tbl TEXT NOT NULL,
  key TEXT NOT NULL
) STRICT;
CREATE INDEX store_tombstone_tbl ON store_tombstone (tbl, revision);

-- The newest deletion of each table that was forgotten.
CREATE TABLE store_compacted (
  tbl TEXT NOT NULL PRIMARY KEY,
  revision INTEGER NOT NULL
) STRICT;

CREATE TABLE "action" (
  key TEXT NOT NULL PRIMARY KEY,
  revision INTEGER NOT NULL,
  "target" TEXT,
  "incident" TEXT,
  "run" TEXT,
  "at" INTEGER,
  body BLOB NOT NULL
) STRICT;
CREATE INDEX "action_target_at" ON "action" ("target", "at", "key");
CREATE INDEX "action_incident_at" ON "action" ("incident", "at", "key");
CREATE INDEX "action_at" ON "action" ("at", "key");

CREATE TABLE "alert" (
  key TEXT NOT NULL PRIMARY KEY,
  revision INTEGER NOT NULL,
  "fingerprint" TEXT,
  "status" TEXT,
  "severity" TEXT,
  "service" TEXT,
  "entity" TEXT,
  "name" TEXT,
  "source" TEXT,
  "updated" INTEGER,
  body BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX "alert_revision" ON "alert" (revision);
CREATE UNIQUE INDEX "alert_fingerprint" ON "alert" ("fingerprint");
CREATE INDEX "alert_status_updated" ON "alert" ("status", "updated", "key");
CREATE INDEX "alert_service_updated" ON "alert" ("service", "updated", "key");
CREATE INDEX "alert_entity" ON "alert" ("entity", "key");
CREATE INDEX "alert_updated" ON "alert" ("updated", "key");

CREATE TABLE "alert_event" (
  key TEXT NOT NULL PRIMARY KEY,
  revision INTEGER NOT NULL,
  "alert" TEXT,
  "at" INTEGER,
  body BLOB NOT NULL
) STRICT;
CREATE INDEX "alert_event_at" ON "alert_event" ("at", "key");

CREATE TABLE "decision" (
  key TEXT NOT NULL PRIMARY KEY,
  revision INTEGER NOT NULL,
  "incident" TEXT,
  "at" INTEGER,
  body BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX "decision_revision" ON "decision" (revision);
CREATE INDEX "decision_incident_at" ON "decision" ("incident", "at", "key");

CREATE TABLE "delivery" (
  key TEXT NOT NULL PRIMARY KEY,
  revision INTEGER NOT NULL,
  "source" TEXT,
  "received" INTEGER,
  body BLOB NOT NULL
) STRICT;
CREATE INDEX "delivery_revision" ON "delivery" ("revision", "key");

CREATE TABLE "fault" (
  key TEXT NOT NULL PRIMARY KEY,
  revision INTEGER NOT NULL,
  "entity" TEXT,
  "at" INTEGER,
  body BLOB NOT NULL
) STRICT;
CREATE INDEX "fault_revision" ON "fault" ("revision", "key");

CREATE TABLE "incident" (
  key TEXT NOT NULL PRIMARY KEY,
  revision INTEGER NOT NULL,
  "state" TEXT,
  "severity" TEXT,
  "service" TEXT,
  "cause" TEXT,
  "open" INTEGER,
  "due" INTEGER,
  "updated" INTEGER,
  body BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX "incident_revision" ON "incident" (revision);
CREATE INDEX "incident_open_due" ON "incident" ("open", "due", "key");
CREATE INDEX "incident_open_updated" ON "incident" ("open", "updated", "key");
CREATE INDEX "incident_state_updated" ON "incident" ("state", "updated", "key");
CREATE INDEX "incident_state_severity" ON "incident" ("state", "severity", "key");
CREATE INDEX "incident_service_updated" ON "incident" ("service", "updated", "key");
CREATE INDEX "incident_updated" ON "incident" ("updated", "key");

CREATE TABLE "journal" (
  key TEXT NOT NULL PRIMARY KEY,
  revision INTEGER NOT NULL,
  "run" TEXT,
  "seq" INTEGER,
  body BLOB NOT NULL
) STRICT;
CREATE INDEX "journal_run_seq" ON "journal" ("run", "seq", "key");

CREATE TABLE "knowledge" (
  key TEXT NOT NULL PRIMARY KEY,
  revision INTEGER NOT NULL,
  "pattern" TEXT,
  body BLOB NOT NULL
) STRICT;
CREATE INDEX "knowledge_pattern" ON "knowledge" ("pattern", "key");

CREATE TABLE "lease" (
  key TEXT NOT NULL PRIMARY KEY,
  revision INTEGER NOT NULL,
  "owner" TEXT,
  "epoch" INTEGER,
  "until" INTEGER,
  body BLOB NOT NULL
) STRICT;
CREATE INDEX "lease_owner" ON "lease" ("owner", "key");

CREATE TABLE "outcome" (
  key TEXT NOT NULL PRIMARY KEY,
  revision INTEGER NOT NULL,
  "pattern" TEXT,
  "playbook" TEXT,
  "at" INTEGER,
  body BLOB NOT NULL
) STRICT;
CREATE INDEX "outcome_pattern_playbook" ON "outcome" ("pattern", "playbook", "key");
CREATE INDEX "outcome_at" ON "outcome" ("at", "key");

CREATE TABLE "playbook" (
  key TEXT NOT NULL PRIMARY KEY,
  revision INTEGER NOT NULL,
  "name" TEXT,
  "at" INTEGER,
  body BLOB NOT NULL
) STRICT;
CREATE INDEX "playbook_name_at" ON "playbook" ("name", "at", "key");

CREATE TABLE "principal" (
  key TEXT NOT NULL PRIMARY KEY,
  revision INTEGER NOT NULL,
  body BLOB NOT NULL
) STRICT;

CREATE TABLE "refusal" (
  key TEXT NOT NULL PRIMARY KEY,
  revision INTEGER NOT NULL,
  "target" TEXT,
  "run" TEXT,
  "at" INTEGER,
  body BLOB NOT NULL
) STRICT;
CREATE INDEX "refusal_target_at" ON "refusal" ("target", "at", "key");
CREATE INDEX "refusal_run" ON "refusal" ("run", "key");
CREATE INDEX "refusal_at" ON "refusal" ("at", "key");

CREATE TABLE "request" (
  key TEXT NOT NULL PRIMARY KEY,
  revision INTEGER NOT NULL,
  "at" INTEGER,
  body BLOB NOT NULL
) STRICT;
CREATE INDEX "request_at" ON "request" ("at", "key");

CREATE TABLE "run" (
  key TEXT NOT NULL PRIMARY KEY,
  revision INTEGER NOT NULL,
  "incident" TEXT,
  "state" TEXT,
  "playbook" TEXT,
  "target" TEXT,
  "ended" INTEGER,
  "created" INTEGER,
  body BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX "run_revision" ON "run" (revision);
CREATE INDEX "run_incident" ON "run" ("incident", "key");
CREATE INDEX "run_state_created" ON "run" ("state", "created", "key");
CREATE INDEX "run_ended_created" ON "run" ("ended", "created", "key");
CREATE INDEX "run_created" ON "run" ("created", "key");

CREATE TABLE "setting" (
  key TEXT NOT NULL PRIMARY KEY,
  revision INTEGER NOT NULL,
  body BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX "setting_revision" ON "setting" (revision);

CREATE TABLE "step" (
  key TEXT NOT NULL PRIMARY KEY,
  revision INTEGER NOT NULL,
  "run" TEXT,
  "state" TEXT,
  "due" INTEGER,
  "owner" TEXT,
  "epoch" INTEGER,
  "lease" INTEGER,
  body BLOB NOT NULL
) STRICT;
CREATE INDEX "step_state_due" ON "step" ("state", "due", "key");
CREATE INDEX "step_run" ON "step" ("run", "key");

CREATE TABLE "switch" (
  key TEXT NOT NULL PRIMARY KEY,
  revision INTEGER NOT NULL,
  body BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX "switch_revision" ON "switch" (revision);

CREATE TABLE "timeline" (
  key TEXT NOT NULL PRIMARY KEY,
  revision INTEGER NOT NULL,
  "incident" TEXT,
  "seq" INTEGER,
  body BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX "timeline_revision" ON "timeline" (revision);
CREATE INDEX "timeline_incident_seq" ON "timeline" ("incident", "seq", "key");

CREATE TABLE "topology" (
  key TEXT NOT NULL PRIMARY KEY,
  revision INTEGER NOT NULL,
  "seen" INTEGER,
  body BLOB NOT NULL
) STRICT;

CREATE TABLE "audit" (
  key TEXT NOT NULL PRIMARY KEY,
  revision INTEGER NOT NULL,
  "actor" TEXT,
  "act" TEXT,
  "subject" TEXT,
  "incident" TEXT,
  "run" TEXT,
  "at" INTEGER,
  body BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX "audit_revision" ON "audit" (revision);
CREATE INDEX "audit_at" ON "audit" ("at", "key");
CREATE INDEX "audit_subject_at" ON "audit" ("subject", "at", "key");
CREATE INDEX "audit_incident_at" ON "audit" ("incident", "at", "key");

CREATE TABLE "seal" (
  key TEXT NOT NULL PRIMARY KEY,
  revision INTEGER NOT NULL,
  "number" INTEGER,
  body BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX "seal_number" ON "seal" ("number");

CREATE TABLE "change" (
  key TEXT NOT NULL PRIMARY KEY,
  revision INTEGER NOT NULL,
  "entity" TEXT,
  "kind" TEXT,
  "source" TEXT,
  "at" INTEGER,
  body BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX "change_revision" ON "change" (revision);
CREATE INDEX "change_entity_at" ON "change" ("entity", "at", "key");
CREATE INDEX "change_kind_at" ON "change" ("kind", "at", "key");
CREATE INDEX "change_at" ON "change" ("at", "key");

CREATE TABLE "silence" (
  key TEXT NOT NULL PRIMARY KEY,
  revision INTEGER NOT NULL,
  "ends" INTEGER,
  body BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX "silence_revision" ON "silence" (revision);
CREATE INDEX "silence_ends" ON "silence" ("ends", "key");
