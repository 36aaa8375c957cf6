import { existsSync, writeFileSync } from "node:fs";

import { definePipeline, Memento } from "@mementojs/memento";
import { sqliteTable } from "@mementojs/memento/sinks";
import { jsonlFile } from "@mementojs/memento/sources";
import { z } from "zod";

const reading = z.object({ station: z.string(), celsius: z.number().min(-90).max(60) });

export const pipeline = definePipeline({
  name: "readings",
  version: "1.0.0",
  sources: { lines: () => jsonlFile({ path: "readings.jsonl" }) },
  sinks: {
    readings: () =>
      sqliteTable({
        path: "readings.db",
        table: "readings",
        columns: { id: "INTEGER", station: "TEXT", fahrenheit: "REAL" },
        key: "id",
        mode: "append",
      }),
  },
  checkpoint: { records: 5_000 },
  stages: (stage) => {
    const read = stage.read("read", { source: "lines" });
    const check = stage.map("check", { after: read, schema: reading, onInvalid: "quarantine" });
    const convert = stage.map("convert", {
      after: check,
      run: ({ station, celsius }, { state }) => {
        const id = Number(state["readings"] ?? 0) + 1;
        state["readings"] = id; // kept with every memento: it goes on after a crash, and goes back with a rollback
        return { id, station, fahrenheit: celsius * 1.8 + 32 };
      },
    });
    const load = stage.write("load", { after: convert, sink: "readings" });
    return [read, check, convert, load];
  },
});

const line = (n: number): string =>
  JSON.stringify({ station: `S${n % 50}`, celsius: n % 997 === 0 ? 999 : (n % 400) / 10 });
if (!existsSync("readings.jsonl"))
  writeFileSync("readings.jsonl", `${Array.from({ length: 20_000 }, (_, n) => line(n)).join("\n")}\n`);

if (import.meta.main) {
  await using memento = await Memento.open("sqlite:mementos.db");
  const result = await memento.run(pipeline);
  const checked = (await result.output("check")) as { recordsOut: number; invalid: number };
  console.log(`${result.status}: ${checked.recordsOut} good readings, ${checked.invalid} set aside`);
}
