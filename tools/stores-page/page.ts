import type { StoreSupports } from "@mementojs/memento/store";

import type { DriverFacts } from "./facts.ts";

/** One row of the bench's report, as `--json` writes it. */
export interface BenchRow {
  readonly work: string;
  readonly ours: number;
  readonly ratio: number | null;
}

/** What the page is made of. */
export interface PageParts {
  readonly drivers: readonly DriverFacts[];
  /** The ranges of optional packages, by name. */
  readonly ranges: Readonly<Record<string, string>>;
  /** What each driver says of itself, by its scheme. */
  readonly supports: Readonly<Record<string, StoreSupports>>;
  /** The figures of the suite `stores`; empty before it was run. */
  readonly figures: readonly BenchRow[];
}

const WRITERS = ["1 writer", "8 writers", "64 writers"] as const;
const SIZES = ["1KB", "1MB"] as const;

/** docs/stores.md, from what the drivers say of themselves, the facts beside this file, and the bench's figures. */
export function makeStoresPage({ drivers, ranges, supports, figures }: PageParts): string {
  return [
    "<!-- Made by `npm run docs:stores`. Change tools/stores-page/facts.ts, or the drivers, and make it anew. -->",
    "",
    "# Stores",
    "",
    "A store is opened by its URL (`Memento.open(url)`, `--store URL`, `MEMENTO_STORE`), or from the library with a client of your own.",
    "Every store passes the same conformance kit, on a real engine: atomic commits, one writer by epochs, names, order of the log, keys,",
    "removal, damage, races of processes, and `kill -9`. `npx memento check-store ./driver.ts` runs the kit for a driver of your own.",
    "",
    "## What each can do",
    "",
    ...table([
      ["store", "URL", "durable", "shared by processes", "largest commit", "gives space back", "package"],
      ...drivers.map((driver) => capabilities(driver, supports[driver.scheme])),
    ]),
    "",
    "*Durable*: what was acknowledged survives `kill -9` and the loss of power, as far as the engine keeps its own word. *Largest commit*: the",
    "body of one save; streams (`saveStream`) are cut into several. Networked stores need keys by `MEMENTO_KEY`, `MEMENTO_KEY_FILE` or the",
    "like ([keys.md](keys.md)): there is no file beside them.",
    "",
    "## What each costs",
    "",
    ...costs(drivers, figures),
    "",
    "## What was proved where",
    "",
    ...table([["store", "proved on"], ...drivers.map(({ title, proved }) => [title, proved])]),
    "",
    "The clouds themselves were not reached. Correctness on object stores rests on create-if-absent alone, and every store on objects proves",
    "before its first write that its server keeps it: a server that ignores the condition is refused with `ENGINE_UNSUITABLE`.",
    "",
    ...drivers.flatMap((driver) => driverSection(driver, ranges)),
  ].join("\n");
}

function capabilities(
  { title, scheme, packages }: DriverFacts,
  supports: StoreSupports | undefined,
): readonly string[] {
  if (supports === undefined) throw new Error(`nothing is known of what ${title} supports`);
  return [
    title,
    `\`${scheme}:\``,
    supports.durable ? "yes" : "no",
    { process: "no", machine: "of one machine", network: "anywhere" }[supports.sharedBy],
    bytesText(supports.bodyBytesMax),
    supports.reclaimsSpace ? "yes" : "no",
    packages.length === 0 ? "none" : packages.map((name) => `\`${name}\``).join(", "),
  ];
}

function costs(drivers: readonly DriverFacts[], figures: readonly BenchRow[]): readonly string[] {
  if (figures.length === 0) return ["Not measured yet: `npm run bench -- stores --json bench/results/stores.json`."];
  const lines = SIZES.flatMap((size) => [
    `States of ${size.replace("KB", " KB").replace("MB", " MB")}:`,
    "",
    ...table([
      ["store", ...["saves", "loads"].flatMap((figure) => WRITERS.map((writers) => `${figure}, ${atOnce(writers)}`))],
      ...drivers.flatMap(({ title, measured }) =>
        measured.map((name) => [
          measured.length === 1 ? title : `${title}: ${name}`,
          ...["saves", "loads"].flatMap((figure) =>
            WRITERS.map((writers) => cost(figures, `stores/${name}/${size}/${writers}: ${figure}`)),
          ),
        ]),
      ),
    ]),
    "",
  ]);
  return [
    "A second, sealed and durable, by one process with so many calls under way; in brackets beside the engine's bare client, which writes",
    "and reads the same bytes on the same server. Machines differ, ratios less so; `npm run bench -- stores` takes them on yours.",
    "",
    ...lines.slice(0, -1),
  ];
}

function atOnce(writers: string): string {
  return `${writers.split(" ")[0] ?? ""} at once`;
}

function cost(figures: readonly BenchRow[], work: string): string {
  const row = figures.find((figure) => figure.work === work);
  if (row === undefined) return "-";
  const rate = row.ours.toLocaleString("en-US", { maximumSignificantDigits: 3 });
  return row.ratio === null ? rate : `${rate} (${row.ratio.toPrecision(2)}x)`;
}

/** What the page says of one driver, its lines; no engine need be asked for it. */
export function driverSection(
  { title, driver, subpath, urls, needs, credentials, facts, packages }: DriverFacts,
  ranges: Readonly<Record<string, string>>,
): readonly string[] {
  const named = packages.map((name) => `\`${name}\` ${ranges[name] ?? "of no known range"}`);
  return [
    `## ${title}`,
    "",
    `\`${driver}\` of \`${subpath}\`${named.length === 0 ? "" : `, with ${named.join(" and ")}`}.`,
    "",
    ...table([["URL", "what it is"], ...urls.map(([form, meaning]) => [`\`${form}\``, meaning])]),
    "",
    ...needs.map((need) => `- Needs: ${need}`),
    ...(credentials === null ? [] : [`- Credentials: ${credentials}`]),
    ...facts.map((fact) => `- ${fact}`),
    "",
  ];
}

function table(lines: readonly (readonly string[])[]): readonly string[] {
  const [head = [], ...rows] = lines.map((cells) => cells.map((cell) => cell.replaceAll("|", "\\|")));
  return [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`);
}

/** Bytes as people read them: in powers of two where they are round, else of ten. */
function bytesText(bytes: number): string {
  const gibibytes = Math.round(bytes / 2 ** 30);
  if (gibibytes > 0 && Math.abs(bytes - gibibytes * 2 ** 30) <= 1) return `${gibibytes} GiB`;
  return bytes >= 1e9 ? `${Number((bytes / 1e9).toPrecision(3))} GB` : `${Number((bytes / 1e6).toPrecision(3))} MB`;
}
