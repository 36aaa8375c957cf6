import type { Memento, MementoEntry, MementoReason, MementoStatus } from "@mementojs/memento";
import type { Json } from "@mementojs/memento/core";
import { givenLabels, type MementoQuery, type MementoSort } from "@mementojs/memento/store";
import { InvalidArgumentError, Option, type Command } from "commander";

import { addHelp } from "../command-help.ts";
import { EXIT } from "../exit-code.ts";
import type { Invocation, Outcome, Runner } from "../invocation.ts";
import { collectPairs, collectValues, wholeNumber } from "../option-values.ts";
import { chooseTimeline, timelineNames } from "../pipelines/timelines.ts";
import { openMemento } from "../place/store-place.ts";
import { oneLine } from "../terminal/printable.ts";
import { paintStatus } from "../terminal/style.ts";
import { renderTable } from "../terminal/table.ts";
import { displayWidth } from "../terminal/width.ts";
import { ageText, bytesText, counted, grouped, listText } from "../terminal/words.ts";

const STATUSES: readonly MementoStatus[] = [
  "saved",
  "running",
  "paused",
  "interrupted",
  "failed",
  "cancelled",
  "completed",
  "reverting",
];
const REASONS: readonly MementoReason[] = [
  "save",
  "start",
  "stage",
  "interval",
  "risk",
  "failure",
  "manual",
  "pause",
  "interrupt",
  "cancel",
  "retry",
  "item",
  "sleep",
  "approval",
  "credential",
  "rollback-begin",
  "rollback",
  "edit",
  "reset",
  "adopt",
  "resume",
  "upcast",
  "fork",
];

interface LsOptions {
  readonly timeline?: string;
  readonly caretaker?: string;
  readonly status?: MementoStatus;
  readonly reason?: MementoReason;
  readonly stage?: string;
  readonly run?: string;
  readonly label?: Readonly<Record<string, string>>;
  readonly meta?: Readonly<Record<string, Json>>;
  readonly limit?: number;
  readonly sort?: Sort;
  readonly reverse?: boolean;
}

interface Sort {
  readonly sort: MementoSort;
  readonly order: MementoQuery["order"];
}

const SORTS: Readonly<Record<string, Sort>> = {
  newest: { sort: "log", order: "descending" },
  oldest: { sort: "log", order: "ascending" },
  largest: { sort: "size", order: "descending" },
  smallest: { sort: "size", order: "ascending" },
  name: { sort: "name", order: "ascending" },
};

function sortOf(value: string): Sort {
  const known = Object.hasOwn(SORTS, value) ? SORTS[value] : undefined;
  if (known !== undefined) return known;
  const [, kind, path] = /^(label|meta):(.+)$/su.exec(value) ?? [];
  if (kind === undefined || path === undefined) {
    throw new InvalidArgumentError(`Allowed choices are ${Object.keys(SORTS).join(", ")}, label:NAME, meta:PATH.`);
  }
  return { sort: kind === "label" ? `label:${path}` : `metadata:${path}`, order: "ascending" };
}

/** `memento ls`: lists mementos. */
export function registerLs(program: Command, run: Runner): void {
  const command = program
    .command("ls")
    .summary("list mementos")
    .description("Lists mementos, newest first. Each filter narrows the list.")
    .option("--timeline <name>", "of this timeline: pipeline, pipeline@partition#fork, or a key")
    .option("--caretaker <name>", "of this caretaker; pipelines have the one named pipelines")
    .addOption(new Option("--status <status>", "with this status").choices(STATUSES))
    .addOption(new Option("--reason <reason>", "taken for this reason").choices(REASONS))
    .option("--stage <name>", "of this stage")
    .option("--run <id>", "of this run")
    .option("--label <name=value>", "with this label; repeat for more", collectPairs)
    .option(
      "--meta <path=value>",
      "with this in its metadata, as in owner.team=x or rows=7; repeat for more",
      collectValues,
    )
    .option("--limit <n>", "at most so many", wholeNumber)
    .option("--sort <by>", `in this order: ${Object.keys(SORTS).join(", ")}, label:NAME, meta:PATH`, sortOf)
    .option("--reverse", "the other way round")
    .action(async (options: LsOptions) => await run(async (invocation) => await list(invocation, options)));
  addHelp(command, {
    examples: [
      ["memento ls --limit 20", "the newest ones"],
      ["memento ls --reason stage --stage load", "taken at the end of a stage"],
      ["memento ls --label quarter=2013-Q1 --json", "for a program"],
      ["memento ls --meta owner.team=bi --sort meta:rows", "by what their metadata say"],
    ],
    notes: [
      `Metadata is sealed, except for the paths that a caretaker's policy declares as queryable. By other paths a store cannot
be asked: each memento that fits otherwise is opened, which takes its time in a large store.`,
    ],
    exitCodes: [EXIT.damaged],
  });
}

async function list(invocation: Invocation, options: LsOptions): Promise<Outcome> {
  await using memento = await openMemento(invocation);
  const {
    caretaker = null,
    status = null,
    reason = null,
    stage = null,
    run = null,
    label = {},
    meta = {},
    limit = null,
  } = options;
  const timeline =
    options.timeline === undefined ? null : (await chooseTimeline(memento, { named: options.timeline })).record.key;
  const { sort, order } = sorted(options);
  const filter = { caretaker, timeline, status, reason, stage, run, labels: label, metadata: meta, limit, sort, order };
  await noteOpening(invocation, memento, filter);
  const entries = await Array.fromAsync(memento.select(filter));
  const names = await timelineNames(memento);
  return { json: { mementos: entries }, text: () => table(invocation, entries, names) };
}

function sorted({ sort = { sort: "log", order: "descending" }, reverse = false }: LsOptions): Sort {
  return reverse ? { ...sort, order: sort.order === "ascending" ? "descending" : "ascending" } : sort;
}

/** Says which metadata the store cannot be asked for. */
async function noteOpening(
  invocation: Invocation,
  memento: Memento,
  { caretaker, metadata, sort }: Pick<MementoQuery, "caretaker" | "metadata" | "sort">,
): Promise<void> {
  const asked = [...Object.keys(metadata), ...(sort.startsWith("metadata:") ? [sort.slice("metadata:".length)] : [])];
  if (asked.length === 0) return;
  const declared = await memento.declaredPaths(caretaker);
  const sealed = [...new Set(asked.filter((path) => !declared.has(path)))];
  if (sealed.length === 0) return;
  const [is, it] = sealed.length === 1 ? ["is", "it"] : ["are", "them"];
  invocation.note(
    `${listText(sealed)} ${is} not declared queryable: each memento that fits otherwise is opened to look for ${it}.`,
  );
}

function table(invocation: Invocation, entries: readonly MementoEntry[], names: ReadonlyMap<string, string>): string {
  const { style, io } = invocation;
  if (entries.length === 0) return "No memento fits.";
  const runs = [...new Set(entries.flatMap(({ run }) => run ?? []))];
  const text = columnsText(invocation, entries, names, runs.length > 0);
  if (!io.out.isTerminal) return text;
  const count = style.dim(counted(entries.length, "memento"));
  if (text.split("\n").every((line) => displayWidth(line) <= io.out.columns)) return `${text}\n${count}`;
  // Where there is no room for a column of their own, the runs stand below.
  const shown = runs.slice(0, RUNS_SHOWN_MAX).join(", ");
  const rest = runs.length > RUNS_SHOWN_MAX ? ` and ${grouped(runs.length - RUNS_SHOWN_MAX)} more` : "";
  const below = runs.length === 0 ? "" : style.dim(`; ${runs.length === 1 ? "run" : "runs"} ${shown}${rest}`);
  return `${columnsText(invocation, entries, names, false)}\n${count}${below}`;
}

const RUNS_SHOWN_MAX = 4;

function columnsText(
  { style, io }: Invocation,
  entries: readonly MementoEntry[],
  names: ReadonlyMap<string, string>,
  withRuns: boolean,
): string {
  const now = io.clock.now();
  const named = entries.some((entry) => labelsText(entry) !== "");
  const rows = entries.map((entry) => [
    entry.id,
    names.get(entry.timeline) ?? entry.originator,
    entry.reason,
    entry.stage ?? "",
    ...(withRuns ? [entry.run ?? ""] : []),
    paintStatus(style, entry.status),
    bytesText(entry.sizes.logicalBytes),
    ageText(entry.created, now),
    ...(named ? [labelsText(entry)] : []),
  ]);
  const columns = [
    { head: "MEMENTO" },
    { head: "TIMELINE", shrinks: true },
    { head: "REASON" },
    { head: "STAGE", shrinks: true },
    ...(withRuns ? [{ head: "RUN" }] : []),
    { head: "STATUS" },
    { head: "SIZE", align: "right" as const },
    { head: "AGE", align: "right" as const },
    ...(named ? [{ head: "NAME, LABELS", shrinks: true }] : []),
  ];
  return renderTable(columns, rows, style, io.out.isTerminal ? io.out.columns : null);
}

function labelsText(entry: MementoEntry): string {
  return [
    ...(entry.name === undefined ? [] : [entry.name]),
    ...Object.entries(givenLabels(entry)).map(([key, value]) => oneLine(`${key}=${value}`)),
  ].join(" ");
}
