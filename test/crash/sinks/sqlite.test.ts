import { sqliteTablePlace } from "../../workers/sqlite-table.ts";
import { testCampaign } from "./campaign.ts";

const workerModule = new URL("../../workers/sqlite-table.ts", import.meta.url);
const columns = "id TEXT NOT NULL, amount REAL, note TEXT";

testCampaign({
  name: "a SQLite table, appended to",
  mode: "append",
  place: sqliteTablePlace({ mode: "append", sql: `CREATE TABLE IF NOT EXISTS kit (${columns})`, names: ["rowid"] }),
  workerModule,
});

testCampaign({
  name: "a SQLite table, rows by their key",
  mode: "upsert",
  place: sqliteTablePlace({
    mode: "upsert",
    sql: `CREATE TABLE IF NOT EXISTS kit (${columns}, PRIMARY KEY (id))`,
    key: "id",
    names: ["id"],
  }),
  workerModule,
});
