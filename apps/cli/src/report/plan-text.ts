import type { RollbackPlan } from "@mementojs/memento";

import { differences } from "../difference/value-difference.ts";
import type { Style } from "../terminal/style.ts";
import { renderFacts, renderTable, type Column } from "../terminal/table.ts";
import { shortValueText } from "../terminal/value-text.ts";
import { agoText, counted, grouped, listText } from "../terminal/words.ts";

/** A plan to go back to a memento, or to nothing. */
export type ShownPlan = Omit<RollbackPlan, "target"> & { readonly target: PlanPoint | null };
type SinkPlan = RollbackPlan["sinks"][number];
type ParticipantPlan = RollbackPlan["participants"][number];
type SourcePlan = RollbackPlan["sources"][number];
type PlanPoint = RollbackPlan["head"];

/** How a plan is written. */
export interface PlanTextOptions {
  readonly style: Style;
  readonly now: number;
  /** The terminal's columns; null where lines may be as long as they like. */
  readonly columns: number | null;
  /** The command line that applies it, without hash and force. */
  readonly apply: string;
  /** What it does to the pipeline; by default it rolls it back. */
  readonly title?: string;
  /** True: the command line asks by itself, and takes no hash. */
  readonly asks?: boolean;
  /** What to do in its place, where it is refused whatever is forced: then no command line that applies it is offered. */
  readonly instead?: { readonly what: string; readonly line: string };
}

const FOREIGN_SHOWN_MAX = 10;

/** A plan for a person: what will become of each part, what stands in the way, and how to apply it. */
export function planText(plan: ShownPlan, options: PlanTextOptions): string {
  const { style } = options;
  const blocks = [
    headText(plan, options),
    warningsText(plan, style),
    sinksText(plan.sinks, options),
    participantsText(plan.participants, options),
    sourcesText(plan.sources, options),
    renderFacts(otherFacts(plan, style), style),
    foreignText([...plan.sinks, ...plan.participants], style),
    staysText(plan.sinks, style),
    ...endTexts(plan, options),
  ];
  return blocks.filter((block) => block !== "").join("\n\n");
}

function headText({ pipeline, head, target, content, only }: ShownPlan, options: PlanTextOptions): string {
  const { style, now, title = `Roll ${pipeline} back` } = options;
  const point = ({ id, sequence, reason, stage, created }: PlanPoint): string => {
    const what = stage === null ? reason : `${reason} ${stage}`;
    return `${style.bold(`#${sequence}`)}  ${id}  ${what}, ${agoText(created, now)}`;
  };
  const facts = [
    ["from", point(head)] as const,
    ["to", target === null ? "nothing" : point(target)] as const,
    ...(content === null ? [] : [["with", `${content.id}  offsets, state and outputs of the fork`] as const]),
    ...(only === null ? [] : [["only", only.join(", ")] as const]),
  ];
  return `${style.bold(title)}\n${renderFacts(facts, style)}`;
}

function warningsText({ warnings }: ShownPlan, style: Style): string {
  return warnings.map((warning) => `${style.yellow("Mind:")} ${warning}`).join("\n");
}

function sinksText(sinks: readonly SinkPlan[], { style, columns }: PlanTextOptions): string {
  if (sinks.length === 0) return "";
  return renderTable(
    dataColumns("SINK"),
    sinks.map((sink) => dataRow(sink, style)),
    style,
    columns,
  );
}

function participantsText(participants: readonly ParticipantPlan[], { style, columns }: PlanTextOptions): string {
  if (participants.length === 0) return "";
  const rows = participants.map((plan) => {
    return dataRow({ ...plan, where: plan.problem === "" ? plan.where : `${plan.where}: ${plan.problem}` }, style);
  });
  return renderTable(dataColumns("PARTICIPANT"), rows, style, columns);
}

function dataColumns(first: string): Column[] {
  const right = "right" as const;
  return [
    { head: first },
    { head: "VERDICT" },
    { head: "REMOVE", align: right },
    { head: "PUT BACK", align: right },
    { head: "CHANGED BY OTHERS", align: right },
    { head: "WHERE", shrinks: true },
  ];
}

function dataRow(
  plan: Pick<SinkPlan, "name" | "verdict" | "remove" | "restore" | "foreignTotal" | "where">,
  style: Style,
): string[] {
  const { name, where, verdict, remove, restore, foreignTotal } = plan;
  return [
    name,
    verdictText(verdict, style),
    grouped(remove),
    grouped(restore),
    foreignTotal === 0 ? "0" : style.yellow(grouped(foreignTotal)),
    where,
  ];
}

function verdictText(verdict: SinkPlan["verdict"], style: Style): string {
  switch (verdict) {
    case "unchanged":
      return style.dim(verdict);
    case "revert":
    case "compensate":
      return style.green(verdict);
    case "trimmed":
    case "not-revertible":
    case "elsewhere":
      return style.red(verdict);
  }
}

function sourcesText(sources: readonly SourcePlan[], { style, columns }: PlanTextOptions): string {
  if (sources.length === 0) return "";
  const rows = sources.map(({ name, from, to, recordsAgain, available, problem, schema }) => [
    name,
    recordsAgain === null ? "unknown" : grouped(recordsAgain),
    available ? style.green("yes") : style.red("no"),
    schemaText(schema),
    available ? offsetsText(from, to) : problem,
  ]);
  const head = [
    { head: "SOURCE" },
    { head: "READ AGAIN", align: "right" as const },
    { head: "STILL THERE" },
    { head: "SCHEMA" },
    { head: "OFFSETS", shrinks: true },
  ];
  return renderTable(head, rows, style, columns);
}

/** Only what moves: `row 60000 -> 20000`. A partition that had not been begun goes back to its beginning. */
function offsetsText(from: SourcePlan["from"], to: SourcePlan["to"]): string {
  const partitions = [...new Set([...Object.keys(from), ...Object.keys(to)])];
  const moved = partitions.flatMap((partition) => {
    const prefix = partitions.length === 1 ? "" : `${partition}: `;
    if (!Object.hasOwn(to, partition)) return [`${prefix}back to the beginning`];
    return differences(from[partition], to[partition]).map(({ path, before, after }) => {
      return `${prefix}${path === "" ? "" : `${path} `}${shortValueText(before, 40)} -> ${shortValueText(after, 40)}`;
    });
  });
  return moved.length === 0 ? "unchanged" : moved.join(", ");
}

function schemaText({ head, target, code }: SourcePlan["schema"]): string {
  const then = target ?? "none";
  return then === code && (head ?? then) === code ? code : `${then}, code ${code}`;
}

function otherFacts(
  { stagesAgain, undo, state, casts, credentials, lease }: ShownPlan,
  style: Style,
): readonly (readonly [string, string])[] {
  const acquired = credentials.map(
    ({ name, provider, scope }) => `${name} (${[provider, scope].filter((part) => part !== "").join(", ")})`,
  );
  return [
    ["stages to run again", stagesAgain.length === 0 ? "none" : stagesAgain.join(", ")],
    ...(undo.length === 0 ? [] : [["stages to undo", undo.map((stage) => undoText(stage)).join(", ")] as const]),
    ["state that changes", state.length === 0 ? "none" : state.join(", ")],
    ...(casts.length === 0 ? [] : [["the code casts", casts.join(", ")] as const]),
    ["credentials to acquire", acquired.length === 0 ? "none" : acquired.join(", ")],
    [
      "lease",
      lease === null ? "free" : style.yellow(`held, epoch ${lease.epoch}, until ${lease.expires} unless renewed`),
    ],
  ];
}

function undoText({ name, run, problem }: RollbackPlan["undo"][number]): string {
  const stage = `${name} (run ${run})`;
  return problem === "" ? stage : `${stage}: not revertible, ${problem}`;
}

function foreignText(sinks: readonly Pick<SinkPlan, "name" | "foreign" | "foreignTotal">[], style: Style): string {
  return sinks
    .filter(({ foreignTotal }) => foreignTotal > 0)
    .map(({ name, foreign, foreignTotal }) => {
      const shown = foreign.slice(0, FOREIGN_SHOWN_MAX);
      const rest = foreignTotal - shown.length;
      const head = `${style.yellow(counted(foreignTotal, "row"))} of ${name} ${foreignTotal === 1 ? "was" : "were"} changed by others; they stay as they are unless forced by --force ${name}:`;
      return [
        head,
        ...shown.map(({ item, change }) => `  ${item}  ${change}`),
        ...(rest > 0 ? [style.dim(`  … ${grouped(rest)} more`)] : []),
      ].join("\n");
    })
    .join("\n\n");
}

function staysText(sinks: readonly SinkPlan[], style: Style): string {
  return sinks
    .flatMap(({ name, stays }) => (stays === undefined || stays.total === 0 ? [] : [{ name, stays }]))
    .map(({ name, stays }) => {
      const shown = stays.items.slice(0, FOREIGN_SHOWN_MAX);
      const rest = stays.items.length - shown.length;
      return [
        `${style.yellow(counted(stays.total, "record"))} of ${name} ${stays.total === 1 ? "stays" : "stay"} where ${stays.total === 1 ? "it is" : "they are"}, whatever is done:`,
        ...shown.map((item) => `  ${item}`),
        ...(rest > 0 ? [style.dim(`  … ${grouped(rest)} more`)] : []),
      ].join("\n");
    })
    .join("\n\n");
}

function endTexts(plan: ShownPlan, options: PlanTextOptions): readonly string[] {
  const { style, instead } = options;
  if (instead === undefined) return [refusedText(plan, style), applyText(plan, options)];
  return [`${style.dim(`Nothing was changed. ${instead.what}:`)}\n  ${style.bold(instead.line)}`];
}

function refusedText({ refused }: ShownPlan, style: Style): string {
  if (refused.length === 0) return "";
  const forced = refused.map((name) => `--force ${name}`).join(" ");
  return `${style.red("Refused as it is:")} ${listText(refused)} cannot be taken back. To go on without: ${forced}`;
}

function applyText({ hash, refused }: ShownPlan, { style, apply, asks = false }: PlanTextOptions): string {
  const force = refused.map((name) => ` --force ${name}`).join("");
  return `${style.dim("Nothing was changed. Apply it:")}\n  ${style.bold(`${apply}${asks ? "" : ` --plan ${hash}`}${force}`)}`;
}
