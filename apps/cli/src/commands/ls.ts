import type { Memento, MementoEntry, MementoReason, MementoStatus } from "@mementojs/memento";
import { mementoQuery, type MementoQuery, type MementoSort } from "@mementojs/memento/store";
import { Option, type Command } from "commander";

import { addHelp } from "../command-help.ts";
import { EXIT } from "../exit-code.ts";
import type { Invocation, Outcome, Runner } from "../invocation.ts";
import { collectPairs, wholeNumber } from "../option-values.ts";
import { chooseTimeline, livingTimelines, timelineName } from "../pipelines/timelines.ts";
import { openMemento } from "../place/store-place.ts";
import { oneLine } from "../terminal/printable.ts";
import { paintStatus } from "../terminal/style.ts";
import { renderTable } from "../terminal/table.ts";
import { ageText, bytesText, counted } from "../terminal/words.ts";

const STATUSES: readonly MementoStatus[] = [
  "saved",
  "running",
  "paused",
  "interrupted",
  "failed",
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
  "rollback-begin",
  "rollback",
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
  readonly limit?: number;
  readonly sort?: "newest" | "oldest" | "largest" | "smallest" | "name";
}

const SORTS: Readonly<Record<NonNullable<LsOptions["sort"]>, readonly [MementoSort, MementoQuery["order"]]>> = {
  newest: ["log", "descending"],
  oldest: ["log", "ascending"],
  largest: ["size", "descending"],
  smallest: ["size", "ascending"],
  name: ["name", "ascending"],
};

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
    .option("--limit <n>", "at most so many", wholeNumber)
    .addOption(new Option("--sort <by>", "in this order").choices(Object.keys(SORTS)))
    .action(async (options: LsOptions) => await run(async (invocation) => await list(invocation, options)));
  addHelp(command, {
    examples: [
      ["memento ls --limit 20", "the newest ones"],
      ["memento ls --reason stage --stage load", "taken at the end of a stage"],
      ["memento ls --label quarter=2013-Q1 --json", "for a program"],
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
    limit = null,
  } = options;
  const timeline =
    options.timeline === undefined ? null : (await chooseTimeline(memento, { named: options.timeline })).record.key;
  const [sort, order] = SORTS[options.sort ?? "newest"];
  const entries: MementoEntry[] = [];
  const query = mementoQuery({ caretaker, timeline, status, reason, stage, run, labels: label, limit, sort, order });
  for await (const { entry } of memento.vault.store.query(query)) entries.push(entry);
  const names = await timelineNames(memento);
  return { json: { mementos: entries }, text: () => table(invocation, entries, names) };
}

async function timelineNames(memento: Memento): Promise<ReadonlyMap<string, string>> {
  return new Map((await livingTimelines(memento)).map(({ record }) => [record.key, timelineName(record)]));
}

function table(invocation: Invocation, entries: readonly MementoEntry[], names: ReadonlyMap<string, string>): string {
  const { style, io } = invocation;
  if (entries.length === 0) return "No memento fits.";
  const now = io.clock.now();
  const named = entries.some(({ name, labels }) => name !== undefined || Object.keys(labels).length > 0);
  const rows = entries.map((entry) => [
    entry.id,
    names.get(entry.timeline) ?? entry.originator,
    entry.reason,
    entry.stage ?? "",
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
    { head: "STATUS" },
    { head: "SIZE", align: "right" as const },
    { head: "AGE", align: "right" as const },
    ...(named ? [{ head: "NAME, LABELS", shrinks: true }] : []),
  ];
  const text = renderTable(columns, rows, style, io.out.isTerminal ? io.out.columns : null);
  return io.out.isTerminal ? `${text}\n${style.dim(counted(entries.length, "memento"))}` : text;
}

function labelsText({ name, labels }: MementoEntry): string {
  return [
    ...(name === undefined ? [] : [name]),
    ...Object.entries(labels).map(([key, value]) => oneLine(`${key}=${value}`)),
  ].join(" ");
}
