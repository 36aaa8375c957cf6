import path from "node:path";
import { fileURLToPath } from "node:url";

import { z } from "zod";

/** What a run of the flights pipeline takes; on the command line `--param input=PATH --param into=PATH --param limit=N`. */
export const flightsParams = z.object({
  /** A .parquet, .json, .jsonl or .csv file of flights; by default the three million flights of the vega-datasets package. */
  input: z
    .string()
    .min(1)
    .optional()
    .transform((file, context) => {
      const found = file === undefined ? publicFlights() : path.resolve(file);
      if (found !== null) return found;
      context.addIssue("names no file, and the package vega-datasets is not installed");
      return z.NEVER;
    }),
  /** The SQLite file that the flights are loaded into. */
  into: z
    .string()
    .min(1)
    .default("flights.db")
    .transform((file) => path.resolve(file)),
  /** How many records of the input to take, from its beginning; a later run with a higher limit takes up where this one ended. */
  limit: z.coerce.number().int().positive().optional(),
});

/** Parameters that were checked: both paths are absolute. */
export type FlightsParams = z.infer<typeof flightsParams>;

/** Three million flights of 2001 as Parquet (public data of the npm package vega-datasets); null where it is not installed. */
function publicFlights(): string | null {
  try {
    return fileURLToPath(new URL("../data/flights-3m.parquet", import.meta.resolve("vega-datasets")));
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ERR_MODULE_NOT_FOUND") return null;
    throw error;
  }
}
