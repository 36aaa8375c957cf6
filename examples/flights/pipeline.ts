/**
 * Three million flights from a Parquet file into a SQLite table.
 *
 *   DEMO_WAREHOUSE_PASSWORD=... memento run examples/flights/pipeline.ts --param into=flights.db
 *
 * Kill it at any moment and start it again: it goes on at its last checkpoint, and the table is what it would have been.
 */
import { DatabaseSync } from "node:sqlite";

import { definePipeline, fromEnvironment, type Pipeline } from "@mementojs/memento";
import { sqliteTable } from "@mementojs/memento/sinks";
import { csvFile, recordsFile, type Source } from "@mementojs/memento/sources";

import { FLIGHT_COLUMNS, type FlightRow, toFlightRow } from "./flight-row.ts";
import { flightSchema, type Flight } from "./flight-schema.ts";
import { limitedSource } from "./limited-source.ts";
import { type FlightsParams, flightsParams } from "./params.ts";
import { tableDigest } from "./table-digest.ts";
import { unlockWarehouse } from "./warehouse.ts";

/** What the transform stage does to each flight. */
export type FlightTransform = (flight: Flight, context: { readonly state: Record<string, unknown> }) => FlightRow;

/** The pipeline, with its transform; other versions of the same pipeline differ in nothing else. */
export function defineFlights(version: string, transform: FlightTransform): Pipeline {
  return definePipeline({
    name: "flights",
    version,
    params: flightsParams,
    credentials: { warehouse: fromEnvironment("DEMO_WAREHOUSE_PASSWORD", { scope: "warehouse:write" }) },
    sources: { flights: ({ params }) => limitedSource(flightsFile(params), params.limit) },
    sinks: {
      flights: ({ params, credentials }) =>
        sqliteTable<FlightRow>({
          path: params.into,
          table: "flights",
          columns: FLIGHT_COLUMNS,
          key: "id",
          mode: "append",
          onOpen: async (database) => await unlockWarehouse(database, credentials.warehouse.value),
        }),
      quarantine: ({ params, credentials }) =>
        sqliteTable({
          path: params.into,
          table: "flights_quarantine",
          columns: { stage: "TEXT", record: "TEXT", issues: "TEXT" },
          mode: "append",
          onOpen: async (database) => await unlockWarehouse(database, credentials.warehouse.value),
        }),
    },
    // A crash loses at most this much work; at 200,000 records a second a checkpoint is due 20 times a second.
    checkpoint: { records: 10_000 },
    stages: (stage) => {
      const extract = stage.read("extract", { source: "flights" });
      const validate = stage.map("validate", {
        after: extract,
        schema: flightSchema,
        onInvalid: "quarantine",
        quarantine: "quarantine",
      });
      const transformed = stage.map("transform", { after: validate, run: transform });
      const load = stage.write("load", { after: transformed, sink: "flights" });
      const report = stage.task("report", { after: { validate, load } }, (context, done) => {
        const { rows, digest } = readTable(context.params.into);
        const summary = { loaded: done.load.recordsOut, quarantined: done.validate.invalid, rows, digest };
        context.log(`The table flights holds ${rows} rows`, summary);
        return summary;
      });
      return [extract, validate, transformed, load, report];
    },
  });
}

function flightsFile({ input }: FlightsParams): Source {
  return input.endsWith(".csv") ? csvFile({ path: input, cast: true }) : recordsFile(input);
}

function readTable(file: string): ReturnType<typeof tableDigest> {
  const database = new DatabaseSync(file, { readOnly: true });
  try {
    return tableDigest(database, "flights", "id");
  } finally {
    database.close();
  }
}

export const pipeline = defineFlights("1.0.0", toFlightRow);
