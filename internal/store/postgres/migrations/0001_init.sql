-- Schema 1. Every table of the store's schema: its key, the revision of its
-- newest put, the columns that can be asked for, and the body. Text is compared
-- by its bytes. Every index that is not unique ends in the key, so that a page
-- ordered by it needs no sort. Watched tables have an index of revisions.

CREATE TABLE schema_version (
  version BIGINT NOT NULL PRIMARY KEY,
  applied TIMESTAMPTZ NOT NULL
);

-- One row: the newest revision given out. Who has locked it is the writer.
CREATE TABLE store_state (
  one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
  revision BIGINT NOT NULL
) WITH (fillfactor = 10);
INSERT INTO store_state (one, revision) VALUES (1, 0);

-- The newest revision that each opening of the store has committed: how a lost
-- connection is told from a lost commit.
CREATE TABLE store_writer (
  id TEXT NOT NULL PRIMARY KEY,
  revision BIGINT NOT NULL,
  seen TIMESTAMPTZ NOT NULL
) WITH (fillfactor = 10);

-- Deletions in watched tables that a watch can still be told of.
CREATE TABLE store_tombstone (
  revision BIGINT NOT NULL PRIMARY KEY,
  tbl TEXT COLLATE "C" NOT NULL,
  key TEXT COLLATE "C" NOT NULL
);
CREATE INDEX store_tombstone_tbl ON store_tombstone (tbl, revision);

-- The newest deletion of each table that was forgotten.
CREATE TABLE store_compacted (
  tbl TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  revision BIGINT NOT NULL
);

CREATE TABLE "action" (
  key TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  revision BIGINT NOT NULL,
  "target" TEXT COLLATE "C",
  "incident" TEXT COLLATE "C",
  "run" TEXT COLLATE "C",
  "at" BIGINT,
  body BYTEA NOT NULL
);
CREATE INDEX "action_target_at" ON "action" ("target", "at", "key");
CREATE INDEX "action_incident_at" ON "action" ("incident", "at", "key");
CREATE INDEX "action_at" ON "action" ("at", "key");

CREATE TABLE "alert" (
  key TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  revision BIGINT NOT NULL,
  "fingerprint" TEXT COLLATE "C",
  "status" TEXT COLLATE "C",
  "severity" TEXT COLLATE "C",
  "service" TEXT COLLATE "C",
  "entity" TEXT COLLATE "C",
  "name" TEXT COLLATE "C",
  "source" TEXT COLLATE "C",
  "updated" BIGINT,
  body BYTEA NOT NULL
);
CREATE UNIQUE INDEX "alert_revision" ON "alert" (revision);
CREATE UNIQUE INDEX "alert_fingerprint" ON "alert" ("fingerprint");
CREATE INDEX "alert_status_updated" ON "alert" ("status", "updated", "key");
CREATE INDEX "alert_service_updated" ON "alert" ("service", "updated", "key");
CREATE INDEX "alert_entity" ON "alert" ("entity", "key");
CREATE INDEX "alert_updated" ON "alert" ("updated", "key");

CREATE TABLE "alert_event" (
  key TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  revision BIGINT NOT NULL,
  "alert" TEXT COLLATE "C",
  "at" BIGINT,
  body BYTEA NOT NULL
);
CREATE INDEX "alert_event_at" ON "alert_event" ("at", "key");

CREATE TABLE "audit" (
  key TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  revision BIGINT NOT NULL,
  "actor" TEXT COLLATE "C",
  "act" TEXT COLLATE "C",
  "subject" TEXT COLLATE "C",
  "incident" TEXT COLLATE "C",
  "run" TEXT COLLATE "C",
  "at" BIGINT,
  body BYTEA NOT NULL
);
CREATE UNIQUE INDEX "audit_revision" ON "audit" (revision);
CREATE INDEX "audit_at" ON "audit" ("at", "key");
CREATE INDEX "audit_subject_at" ON "audit" ("subject", "at", "key");
CREATE INDEX "audit_incident_at" ON "audit" ("incident", "at", "key");

CREATE TABLE "change" (
  key TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  revision BIGINT NOT NULL,
  "entity" TEXT COLLATE "C",
  "kind" TEXT COLLATE "C",
  "source" TEXT COLLATE "C",
  "at" BIGINT,
  body BYTEA NOT NULL
);
CREATE UNIQUE INDEX "change_revision" ON "change" (revision);
CREATE INDEX "change_entity_at" ON "change" ("entity", "at", "key");
CREATE INDEX "change_kind_at" ON "change" ("kind", "at", "key");
CREATE INDEX "change_at" ON "change" ("at", "key");

CREATE TABLE "decision" (
  key TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  revision BIGINT NOT NULL,
  "incident" TEXT COLLATE "C",
  "at" BIGINT,
  body BYTEA NOT NULL
);
CREATE UNIQUE INDEX "decision_revision" ON "decision" (revision);
CREATE INDEX "decision_incident_at" ON "decision" ("incident", "at", "key");

CREATE TABLE "delivery" (
  key TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  revision BIGINT NOT NULL,
  "source" TEXT COLLATE "C",
  "received" BIGINT,
  body BYTEA NOT NULL
);
CREATE INDEX "delivery_revision" ON "delivery" ("revision", "key");

CREATE TABLE "fault" (
  key TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  revision BIGINT NOT NULL,
  "entity" TEXT COLLATE "C",
  "at" BIGINT,
  body BYTEA NOT NULL
);
CREATE INDEX "fault_revision" ON "fault" ("revision", "key");

CREATE TABLE "incident" (
  key TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  revision BIGINT NOT NULL,
  "state" TEXT COLLATE "C",
  "severity" TEXT COLLATE "C",
  "service" TEXT COLLATE "C",
  "cause" TEXT COLLATE "C",
  "open" BIGINT,
  "due" BIGINT,
  "updated" BIGINT,
  body BYTEA NOT NULL
);
CREATE UNIQUE INDEX "incident_revision" ON "incident" (revision);
CREATE INDEX "incident_open_due" ON "incident" ("open", "due", "key");
CREATE INDEX "incident_open_updated" ON "incident" ("open", "updated", "key");
CREATE INDEX "incident_state_updated" ON "incident" ("state", "updated", "key");
CREATE INDEX "incident_state_severity" ON "incident" ("state", "severity", "key");
CREATE INDEX "incident_service_updated" ON "incident" ("service", "updated", "key");
CREATE INDEX "incident_updated" ON "incident" ("updated", "key");

CREATE TABLE "journal" (
  key TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  revision BIGINT NOT NULL,
  "run" TEXT COLLATE "C",
  "seq" BIGINT,
  body BYTEA NOT NULL
);
CREATE INDEX "journal_run_seq" ON "journal" ("run", "seq", "key");

CREATE TABLE "knowledge" (
  key TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  revision BIGINT NOT NULL,
  "pattern" TEXT COLLATE "C",
  body BYTEA NOT NULL
);
CREATE INDEX "knowledge_pattern" ON "knowledge" ("pattern", "key");

CREATE TABLE "lease" (
  key TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  revision BIGINT NOT NULL,
  "owner" TEXT COLLATE "C",
  "epoch" BIGINT,
  "until" BIGINT,
  body BYTEA NOT NULL
);
CREATE INDEX "lease_owner" ON "lease" ("owner", "key");

CREATE TABLE "outcome" (
  key TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  revision BIGINT NOT NULL,
  "pattern" TEXT COLLATE "C",
  "playbook" TEXT COLLATE "C",
  "at" BIGINT,
  body BYTEA NOT NULL
);
CREATE INDEX "outcome_pattern_playbook" ON "outcome" ("pattern", "playbook", "key");
CREATE INDEX "outcome_at" ON "outcome" ("at", "key");

CREATE TABLE "playbook" (
  key TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  revision BIGINT NOT NULL,
  "name" TEXT COLLATE "C",
  "at" BIGINT,
  body BYTEA NOT NULL
);
CREATE INDEX "playbook_name_at" ON "playbook" ("name", "at", "key");

CREATE TABLE "principal" (
  key TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  revision BIGINT NOT NULL,
  body BYTEA NOT NULL
);

CREATE TABLE "refusal" (
  key TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  revision BIGINT NOT NULL,
  "target" TEXT COLLATE "C",
  "run" TEXT COLLATE "C",
  "at" BIGINT,
  body BYTEA NOT NULL
);
CREATE INDEX "refusal_target_at" ON "refusal" ("target", "at", "key");
CREATE INDEX "refusal_run" ON "refusal" ("run", "key");
CREATE INDEX "refusal_at" ON "refusal" ("at", "key");

CREATE TABLE "request" (
  key TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  revision BIGINT NOT NULL,
  "at" BIGINT,
  body BYTEA NOT NULL
);
CREATE INDEX "request_at" ON "request" ("at", "key");

CREATE TABLE "run" (
  key TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  revision BIGINT NOT NULL,
  "incident" TEXT COLLATE "C",
  "state" TEXT COLLATE "C",
  "playbook" TEXT COLLATE "C",
  "target" TEXT COLLATE "C",
  "ended" BIGINT,
  "created" BIGINT,
  body BYTEA NOT NULL
);
CREATE UNIQUE INDEX "run_revision" ON "run" (revision);
CREATE INDEX "run_incident" ON "run" ("incident", "key");
CREATE INDEX "run_state_created" ON "run" ("state", "created", "key");
CREATE INDEX "run_ended_created" ON "run" ("ended", "created", "key");
CREATE INDEX "run_created" ON "run" ("created", "key");

CREATE TABLE "seal" (
  key TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  revision BIGINT NOT NULL,
  "number" BIGINT,
  body BYTEA NOT NULL
);
CREATE UNIQUE INDEX "seal_number" ON "seal" ("number");

CREATE TABLE "setting" (
  key TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  revision BIGINT NOT NULL,
  body BYTEA NOT NULL
);
CREATE UNIQUE INDEX "setting_revision" ON "setting" (revision);

CREATE TABLE "silence" (
  key TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  revision BIGINT NOT NULL,
  "ends" BIGINT,
  body BYTEA NOT NULL
);
CREATE UNIQUE INDEX "silence_revision" ON "silence" (revision);
CREATE INDEX "silence_ends" ON "silence" ("ends", "key");

CREATE TABLE "step" (
  key TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  revision BIGINT NOT NULL,
  "run" TEXT COLLATE "C",
  "state" TEXT COLLATE "C",
  "due" BIGINT,
  "owner" TEXT COLLATE "C",
  "epoch" BIGINT,
  "lease" BIGINT,
  body BYTEA NOT NULL
);
CREATE INDEX "step_state_due" ON "step" ("state", "due", "key");
CREATE INDEX "step_run" ON "step" ("run", "key");

CREATE TABLE "switch" (
  key TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  revision BIGINT NOT NULL,
  body BYTEA NOT NULL
);
CREATE UNIQUE INDEX "switch_revision" ON "switch" (revision);

CREATE TABLE "timeline" (
  key TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  revision BIGINT NOT NULL,
  "incident" TEXT COLLATE "C",
  "seq" BIGINT,
  body BYTEA NOT NULL
);
CREATE UNIQUE INDEX "timeline_revision" ON "timeline" (revision);
CREATE INDEX "timeline_incident_seq" ON "timeline" ("incident", "seq", "key");

CREATE TABLE "topology" (
  key TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  revision BIGINT NOT NULL,
  "seen" BIGINT,
  body BYTEA NOT NULL
);
