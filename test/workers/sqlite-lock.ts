/** Takes the write lock of an SQLite database, says so, and keeps it until the process ends. */
import { writeSync } from "node:fs";
import process from "node:process";

const { DatabaseSync } = process.getBuiltinModule("node:sqlite");
const database = new DatabaseSync(process.argv[2] ?? "");
database.exec("BEGIN IMMEDIATE");
writeSync(1, "locked\n");
setInterval(() => database.isTransaction, 1_000);
