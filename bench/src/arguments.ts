import { tmpdir } from "node:os";
import { resolve } from "node:path";
import { parseArgs } from "node:util";

import { BenchError } from "./bench-error.ts";

/** The suites that exist, by the name given on the command line. */
export const SUITES = ["stages"] as const;
export type SuiteName = (typeof SUITES)[number];

/** Everything that can be measured. `ours` and `bare` are part of every ratio and cannot be left out. */
export const ENGINES = ["ours", "bare", "dbos", "restate"] as const;
export type EngineName = (typeof ENGINES)[number];

export const USAGE = `Usage: npm run bench -- SUITE [options]

Suites
  stages             one run of 1,000 small stages; the cost of a save, early and late; kill -9 half-way

Options
  --rounds N         measured rounds, after the warm-up (default 5)
  --only LIST        comma-separated from: ${ENGINES.join(", ")}; rows of the others are reported as not run
  --json FILE        also write the rows as JSON
  --strict           end with 1 when a target is missed
  --dir FOLDER       where every engine keeps its data during the run (default: the system's temp folder)
  --help

Exit codes: 0 done, 1 failed (a peer did not start, or with --strict a target was missed), 2 usage

Examples
  npm run bench -- stages --json stages.json --strict
  npm run bench -- stages --only ours,bare --rounds 3
`;

export interface BenchArguments {
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
  const rounds = Number(values.rounds);
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > 1000)
    throw usage(`--rounds must be a whole number from 1 to 1000, not "${values.rounds}"`);
  return {
    suite,
    rounds,
    engines: readEngines(values.only),
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
        rounds: { type: "string", default: "5" },
        only: { type: "string" },
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

function readEngines(list: string | undefined): ReadonlySet<EngineName> {
  if (list === undefined) return new Set(ENGINES);
  const named = new Set<EngineName>();
  for (const name of list.split(",")) {
    if (!isEngine(name)) throw usage(`--only knows ${ENGINES.join(", ")}, not "${name}"`);
    named.add(name);
  }
  if (!named.has("ours") || !named.has("bare")) throw usage("--only must hold ours and bare: every ratio needs them");
  return named;
}

function isSuite(name: string | undefined): name is SuiteName {
  return SUITES.some((suite) => suite === name);
}

function isEngine(name: string): name is EngineName {
  return ENGINES.some((engine) => engine === name);
}

function usage(message: string): BenchError {
  return new BenchError(`${message}. See npm run bench -- --help`, 2);
}
