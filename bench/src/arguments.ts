import { tmpdir } from "node:os";
import { resolve } from "node:path";
import { parseArgs } from "node:util";

import { BenchError } from "./bench-error.ts";
import { KINDS, SIZES } from "./states/state-sequence.ts";

/** Everything that can be measured, in the order of the report. */
const STAGE_ENGINES = ["ours", "bare", "dbos", "restate"] as const;
const VAULT_ENGINES = ["ours", "gzip", "zstd", "langgraph-sqlite", "langgraph-postgres", "restic", "borg"] as const;
export type EngineName = (typeof STAGE_ENGINES)[number] | (typeof VAULT_ENGINES)[number];

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
} as const satisfies Record<string, SuiteFacts>;
export type SuiteName = keyof typeof SUITES;

/** The parts of the suite `vault`. */
const PARTS = ["sequences", "increments", "event-loop"] as const;

const SIZE_NAMES = Object.keys(SIZES) as (keyof typeof SIZES)[];

export const USAGE = `Usage: npm run bench -- SUITE [options]

Suites
  stages             one run of 1,000 small stages; the cost of a save, early and late; kill -9 half-way
  vault              sequences of 50 saves of one state, at four sizes and by four kinds of change; the loads of 1,000
                     increments; how long a save of 10 MB blocks the event loop

Options
  --rounds N         measured rounds, after the warm-up (default: stages ${SUITES.stages.rounds}, vault ${SUITES.vault.rounds})
  --only LIST        comma-separated; rows of the others are reported as not run
                     stages: ${STAGE_ENGINES.join(", ")}
                     vault: ${VAULT_ENGINES.join(", ")}
  --json FILE        also write the rows as JSON
  --strict           end with 1 when a target is missed
  --dir FOLDER       where every engine keeps its data during the run (default: the system's temp folder)
  --help

Options of vault
  --sizes LIST       from: ${SIZE_NAMES.join(", ")}
  --kinds LIST       from: ${KINDS.join(", ")}
  --parts LIST       from: ${PARTS.join(", ")}
  --saves N          saves in a sequence (default 50); the number of increments is 20 times this. The targets are for 50

Exit codes: 0 done, 1 failed (a peer did not start, or with --strict a target was missed), 2 usage

Examples
  npm run bench -- stages --json stages.json --strict
  npm run bench -- stages --only ours,bare --rounds 3
  npm run bench -- vault --sizes 1MB --kinds scattered,immutable --only ours,gzip,langgraph-sqlite
`;

/** Which parts of the suite `vault` to run, and how much of them. */
export interface VaultArguments {
  readonly sizes: ReadonlySet<keyof typeof SIZES>;
  readonly kinds: ReadonlySet<(typeof KINDS)[number]>;
  readonly parts: ReadonlySet<(typeof PARTS)[number]>;
  readonly saves: number;
}

export interface BenchArguments extends VaultArguments {
  readonly suite: SuiteName;
  readonly rounds: number;
  readonly engines: ReadonlySet<EngineName>;
  readonly jsonFile: string | undefined;
  readonly strict: boolean;
  readonly directory: string;
}

/** Reads the command line; `"help"` when help was asked for. Throws a `BenchError` with exit code 2 on anything unknown. */
export function readArguments(argv: readonly string[], startedIn: string): BenchArguments | "help" {
  const { values, positionals } = parse(argv);
  if (values.help) return "help";
  if (positionals.length !== 1) throw usage("name one suite");
  const suite = positionals[0];
  if (!isSuite(suite)) throw usage(`there is no suite "${suite}"`);
  if (suite !== "vault") {
    for (const option of ["sizes", "kinds", "parts", "saves"] as const)
      if (values[option] !== undefined) throw usage(`--${option} is an option of vault`);
  }
  return {
    suite,
    rounds: readCount("rounds", values.rounds ?? String(SUITES[suite].rounds)),
    engines: readEngines(SUITES[suite], values.only),
    sizes: readList("sizes", SIZE_NAMES, values.sizes),
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
