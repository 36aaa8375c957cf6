import { appendFileSync, mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import zlib from "node:zlib";

import { definePipeline, type Pipeline } from "@mementojs/memento";
import { sqliteTable, type Sink } from "@mementojs/memento/sinks";
import { folderFiles, sqlRows } from "@mementojs/memento/sources";

/** A pipeline that reads a folder and a table, which both go on growing. */
export interface SourcesOptions {
  readonly folder: string;
  readonly wrap: (name: string, sink: Sink) => Sink;
}

/** The place of the tables that it loads. */
export const loadedPath = (folder: string): string => path.join(folder, "loaded.db");

/** How many waves of files and rows there are. */
export const WAVES = 4;
const IDS_A_WAVE = 120;

const inboxOf = (folder: string): string => path.join(folder, "inbox");
const sourcePath = (folder: string): string => path.join(folder, "source.db");

/** The ids that are there after some waves; the folder and the table have the same. */
export const idsAfter = (waves: number): number[] =>
  Array.from({ length: waves * IDS_A_WAVE }, (_, index) => index + 1);

/** Adds a wave: three new files among the old ones, lines to a file that was read, and rows with a few watermarks among them. */
export function addWave(folder: string, wave: number): void {
  const inbox = inboxOf(folder);
  mkdirSync(path.join(inbox, "deep"), { recursive: true });
  const ids = idsAfter(wave + 1).slice(wave * IDS_A_WAVE);
  const lines = (from: number, to: number): string =>
    ids
      .slice(from, to)
      .map((id) => `{"id":${id}}\n`)
      .join("");
  appendFileSync(path.join(inbox, "grown.jsonl"), lines(0, 30));
  writeFileSync(path.join(inbox, `a${WAVES - wave}.jsonl.gz`), zlib.gzipSync(lines(30, 60)));
  writeFileSync(path.join(inbox, "deep", `${wave}.jsonl`), lines(60, 90));
  writeFileSync(path.join(inbox, `z${wave}.json`), `[${lines(90, 120).trimEnd().replaceAll("\n", ",")}]`);
  using database = new DatabaseSync(sourcePath(folder));
  database.exec("CREATE TABLE IF NOT EXISTS events (id INTEGER PRIMARY KEY, at INTEGER)");
  const insert = database.prepare("INSERT INTO events VALUES (?, ?)");
  for (const id of ids) insert.run(id, Math.floor(id / 25));
}

/** Loads both sources, each into a table of its own. */
export function growing({ folder, wrap }: SourcesOptions): Pipeline {
  const table = (name: string) => () =>
    wrap(name, sqliteTable({ path: loadedPath(folder), table: name, mode: "append", columns: { id: "INTEGER" } }));
  return definePipeline({
    name: "growing",
    version: "1",
    batchRecords: 9,
    checkpoint: { records: 20 },
    sources: {
      files: () => folderFiles<{ id: number }>({ folder: inboxOf(folder) }),
      rows: () =>
        sqlRows<{ id: number }>({
          url: `sqlite:${sourcePath(folder)}`,
          table: "events",
          columns: ["id"],
          key: "id",
          watermark: "at",
          onlyGrows: true,
        }),
    },
    sinks: { files: table("files"), rows: table("rows") },
    stages: (stage) => {
      const files = stage.read("read files", { source: "files" });
      const rows = stage.read("read rows", { source: "rows" });
      return [
        files,
        stage.write("write files", { after: files, sink: "files" }),
        rows,
        stage.write("write rows", { after: rows, sink: "rows" }),
      ];
    },
  });
}
