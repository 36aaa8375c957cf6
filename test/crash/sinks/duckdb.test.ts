import { duckdbTablePlace } from "../../workers/duckdb-table.ts";
import { testCampaign } from "./campaign.ts";

const HOLD_MS = 100;
const workerModule = new URL("../../workers/duckdb-table.ts", import.meta.url);

testCampaign({
  name: "duckdbTable(): append, rows by their numbers",
  mode: "append",
  place: duckdbTablePlace(
    {
      mode: "append",
      sql: "CREATE TABLE IF NOT EXISTS kit (id VARCHAR NOT NULL, amount DOUBLE, note VARCHAR, memento_row BIGINT)",
      name: "memento_row",
    },
    HOLD_MS,
  ),
  workerModule,
});

testCampaign({
  name: "duckdbTable(): upsert by a key",
  mode: "upsert",
  place: duckdbTablePlace(
    {
      mode: "upsert",
      sql: "CREATE TABLE IF NOT EXISTS kit (id VARCHAR PRIMARY KEY, amount DOUBLE, note VARCHAR)",
      key: "id",
      name: "id",
    },
    HOLD_MS,
  ),
  workerModule,
});
