import { tmpdir } from "node:os";
import { resolve } from "node:path";
import { parseArgs } from "node:util";

import { BenchError } from "./bench-error.ts";
import { KINDS, SIZES } from "./states/state-sequence.ts";

/** Everything that can be measured, in the order of the report. */
const STAGE_ENGINES = ["ours", "bare", "dbos", "restate"] as const;
const VAULT_ENGINES = ["ours", "gzip", "zstd", "langgraph-sqlite", "langgraph-postgres", "restic", "borg"] as const;
/** The stores, by the engines that they are on. */
const STORE_NAMES = [
  "sqlite",
  "file",
  "postgres",
  "mariadb",
  "mongodb",
  "redis",
  "s3-minio",
  "s3-versitygw",
  "azure",
  "gcs",
] as const;
export type StoreName = (typeof STORE_NAMES)[number];
export type EngineName = (typeof STAGE_ENGINES)[number] | (typeof VAULT_ENGINES)[number] | StoreName;

interface SuiteFacts {
  readonly engines: readonly EngineName[];
  /** Part of every ratio: they cannot be left out. */
  readonly required: readonly EngineName[];
  readonly rounds: number;
}

/** The suites that exist, by the name given on the command line. */
export const SUITES = {
  stages: { engines: STAGE_ENGINES, required: ["ours", "bare"], rounds: 5 },
  vault: { engines: VAULT_ENGINES, required: ["ours"], rounds: 3 },
  stores: { engines: STORE_NAMES, required: [], rounds: 3 },
} as const satisfies Record<string, SuiteFacts>;
export type SuiteName = keyof typeof SUITES;

/** The parts of the suite `vault`. */
const PARTS = ["sequences", "increments", "event-loop"] as const;

/** Bytes of a state of the suite `stores`, by the name given on the command line. */
export const STATE_BYTES = { "1KB": 1_000, "1MB": 1_000_000 } as const;
const STATE_SIZES = Object.keys(STATE_BYTES) as (keyof typeof STATE_BYTES)[];
const WRITERS = ["1", "8", "64"] as const;
const STAGE_STORES = ["sqlite", "postgres"] as const;

const SIZE_NAMES = Object.keys(SIZES) as (keyof typeof SIZES)[];

export const USAGE = `Usage: npm run bench -- SUITE [options]

Suites
  stages             one run of 1,000 small stages; the cost of a save, early and late; kill -9 half-way
  vault              sequences of 50 saves of one state, at four sizes and by four kinds of change; the loads of 1,000
                     increments; how long a save of 10 MB blocks the event loop
  stores             saves and loads a second of every store, by 1, 8 and 64 writers at once, beside the bare client

Options
  --rounds N         measured rounds, after the warm-up (default: stages ${SUITES.stages.rounds}, vault ${SUITES.vault.rounds}, stores ${SUITES.stores.rounds})
  --only LIST        comma-separated; rows of the others are reported as not run
                     stages: ${STAGE_ENGINES.join(", ")}
                     vault: ${VAULT_ENGINES.join(", ")}
                     stores: ${STORE_NAMES.join(", ")}
  --json FILE        also write the rows as JSON
  --strict           end with 1 when a target is missed
  --dir FOLDER       where every engine keeps its data during the run (default: the system's temp folder)
  --help

Options of vault
  --sizes LIST       from: ${SIZE_NAMES.join(", ")}
  --kinds LIST       from: ${KINDS.join(", ")}
  --parts LIST       from: ${PARTS.join(", ")}
  --saves N          saves in a sequence (default 50); the number of increments is 20 times this. The targets are for 50

Options of stages
  --store NAME       ${STAGE_STORES.join(" or ")}: what our store is on (default ${STAGE_STORES[0]}). On postgres one run alone is measured, beside
                     DBOS and bare inserts on the same server

Options of stores
  --sizes LIST       from: ${STATE_SIZES.join(", ")}
  --writers LIST     from: ${WRITERS.join(", ")}
  --seconds N        how long each contender saves, and then loads, in a round (default 1)

Exit codes: 0 done, 1 failed (a peer did not start, or with --strict a target was missed), 2 usage

Examples
  npm run bench -- stages --json stages.json --strict
  npm run bench -- stages --only ours,bare --rounds 3
  npm run bench -- stages --store postgres
  npm run bench -- vault --sizes 1MB --kinds scattered,immutable --only ours,gzip,langgraph-sqlite
  npm run bench -- stores --only postgres,redis --sizes 1KB
`;

/** Which parts of the suite `vault` to run, and how much of them. */
export interface VaultArguments {
  readonly sizes: ReadonlySet<keyof typeof SIZES>;
  readonly kinds: ReadonlySet<(typeof KINDS)[number]>;
  readonly parts: ReadonlySet<(typeof PARTS)[number]>;
  readonly saves: number;
}

/** What the suite `stores` measures. */
export interface StoresArguments {
  readonly stateSizes: ReadonlySet<keyof typeof STATE_BYTES>;
  readonly writers: ReadonlySet<(typeof WRITERS)[number]>;
  readonly seconds: number;
}

export interface BenchArguments extends VaultArguments, StoresArguments {
  readonly suite: SuiteName;
  readonly rounds: number;
  readonly engines: ReadonlySet<EngineName>;
  readonly jsonFile: string | undefined;
  readonly strict: boolean;
  readonly directory: string;
  /** What our store is on in the suite `stages`. */
  readonly stagesOn: (typeof STAGE_STORES)[number];
}

/** Which suites take which option; the others are taken by all. */
const OPTION_OF = {
  sizes: ["vault", "stores"],
  kinds: ["vault"],
  parts: ["vault"],
  saves: ["vault"],
  store: ["stages"],
  writers: ["stores"],
  seconds: ["stores"],
} as const satisfies Record<string, readonly SuiteName[]>;

/** Reads the command line; `"help"` when help was asked for. Throws a `BenchError` with exit code 2 on anything unknown. */
export function readArguments(argv: readonly string[], startedIn: string): BenchArguments | "help" {
  const { values, positionals } = parse(argv);
  if (values.help) return "help";
  if (positionals.length !== 1) throw usage("name one suite");
  const suite = positionals[0];
  if (!isSuite(suite)) throw usage(`there is no suite "${suite}"`);
  for (const [option, suites] of Object.entries(OPTION_OF)) {
    if (values[option as keyof typeof OPTION_OF] !== undefined && !suites.some((one) => one === suite))
      throw usage(`--${option} is an option of ${suites.join(" and ")}`);
  }
  const [stagesOn] = readList("store", STAGE_STORES, values.store ?? STAGE_STORES[0]);
  if (stagesOn === undefined) throw usage("--store names one store");
  return {
    suite,
    rounds: readCount("rounds", values.rounds ?? String(SUITES[suite].rounds)),
    engines: readEngines(suite === "stages" ? stagesFacts(stagesOn) : SUITES[suite], values.only),
    sizes: suite === "vault" ? readList("sizes", SIZE_NAMES, values.sizes) : new Set(),
    stateSizes: suite === "stores" ? readList("sizes", STATE_SIZES, values.sizes) : new Set(),
    writers: readList("writers", WRITERS, values.writers),
    seconds: readCount("seconds", values.seconds ?? "1"),
    stagesOn,
    kinds: readList("kinds", KINDS, values.kinds),
    parts: readList("parts", PARTS, values.parts),
    saves: readCount("saves", values.saves ?? "50", 2),
    jsonFile: values.json === undefined ? undefined : resolve(startedIn, values.json),
    strict: values.strict,
    directory: values.dir === undefined ? tmpdir() : resolve(startedIn, values.dir),
  };
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        rounds: { type: "string" },
        only: { type: "string" },
        sizes: { type: "string" },
        kinds: { type: "string" },
        parts: { type: "string" },
        saves: { type: "string" },
        store: { type: "string" },
        writers: { type: "string" },
        seconds: { type: "string" },
        json: { type: "string" },
        strict: { type: "boolean", default: false },
        dir: { type: "string" },
        help: { type: "boolean", short: "h", default: false },
      },
    });
  } catch (error) {
    if (error instanceof TypeError) throw usage(error.message);
    throw error;
  }
}

/** On PostgreSQL only those are measured that are on it too. */
function stagesFacts(store: (typeof STAGE_STORES)[number]): SuiteFacts {
  const engines = SUITES.stages.engines.filter((name) => store === "sqlite" || name !== "restate");
  return { ...SUITES.stages, engines };
}

function readEngines({ engines, required }: SuiteFacts, list: string | undefined): ReadonlySet<EngineName> {
  const named = readList("only", engines, list);
  if (!required.every((name) => named.has(name)))
    throw usage(`--only must hold ${required.join(" and ")}: every ratio needs them`);
  return named;
}

function readList<Name extends string>(
  option: string,
  known: readonly Name[],
  list: string | undefined,
): ReadonlySet<Name> {
  if (list === undefined) return new Set(known);
  const named = new Set<string>(list.split(","));
  for (const name of named)
    if (!known.some((candidate) => candidate === name))
      throw usage(`--${option} knows ${known.join(", ")}, not "${name}"`);
  // In the order of the report, whatever the order on the command line.
  return new Set(known.filter((name) => named.has(name)));
}

function readCount(option: string, text: string, atLeast = 1): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < atLeast || count > 1000)
    throw usage(`--${option} must be a whole number from ${atLeast} to 1000, not "${text}"`);
  return count;
}

function isSuite(name: string | undefined): name is SuiteName {
  return name !== undefined && Object.hasOwn(SUITES, name);
}

function usage(message: string): BenchError {
  return new BenchError(`${message}. See npm run bench -- --help`, 2);
}
