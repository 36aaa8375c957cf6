import type { FlowSummary, MementoEntry } from "@mementojs/memento";
import { givenLabels } from "@mementojs/memento/store";

import { paintStatus, type Style } from "../terminal/style.ts";
import { renderFacts } from "../terminal/table.ts";
import { valueText, type ValueLimits } from "../terminal/value-text.ts";
import { agoText, bytesText, counted, grouped } from "../terminal/words.ts";
import { isFlowSummary, type MementoView, type OutputView } from "./memento-view.ts";

/** How a view is written. */
export interface FactsOptions {
  readonly style: Style;
  readonly now: number;
  readonly columns: number;
  /** True: values whole, however long. */
  readonly full: boolean;
}

type Facts = readonly (readonly [string, string])[];

/** A memento for a person: what it is, and what it holds. */
export function viewText(view: MementoView, options: FactsOptions): string {
  const { style } = options;
  const limits: ValueLimits = { columns: Math.max(40, options.columns - 16), lines: options.full ? null : 12 };
  const sections: [title: string, facts: Facts][] = [
    ["", entryFacts(view, options)],
    ...snapshotSections(view, limits),
  ];
  if (view.stream !== null) {
    const { bytes, sha256, chunks } = view.stream;
    sections.push([
      "stream",
      [
        ["bytes", grouped(bytes)],
        ["sha256", sha256],
        ["chunks", grouped(chunks)],
      ],
    ]);
  } else if (view.snapshot === null) sections.push(["value", [["", valueText(view.value, limits)]]]);
  const { error, evidence, provenance, approval, cancel } = view.fields;
  if (provenance !== undefined) sections.push(["provenance", valueFacts(provenance, limits)]);
  if (approval !== undefined) sections.push(["approval", valueFacts(approval, limits)]);
  if (cancel !== undefined) sections.push(["cancelled", valueFacts(cancel, limits)]);
  if (error !== undefined) sections.push(["error", valueFacts(error, limits)]);
  if (evidence !== undefined) sections.push([reasonText(view.entry), valueFacts(evidence, limits)]);
  return sections
    .filter(([, facts]) => facts.length > 0)
    .map(([title, facts]) =>
      title === "" ? renderFacts(facts, style) : `${style.bold(title)}\n${indented(renderFacts(facts, style))}`,
    )
    .join("\n\n");
}

function entryFacts(
  { entry, removed, digest, contentDigest, fields }: MementoView,
  { style, now }: FactsOptions,
): Facts {
  const { id, sequence, parent, generation, epoch, run, version, resumeCount, name, sizes } = entry;
  const { description, metadata } = fields;
  const optional: [string, string | undefined][] = [
    ["name", name],
    ["labels", labelText(givenLabels(entry))],
    ["description", typeof description === "string" ? description : undefined],
    ["metadata", metadata === undefined ? undefined : valueText(metadata, { columns: 80, lines: 6 })],
    [
      "run",
      run === undefined
        ? undefined
        : `${run}${(resumeCount ?? 0) > 0 ? `, resumed ${counted(resumeCount ?? 0, "time")}` : ""}`,
    ],
    ["code", version === undefined ? undefined : `version ${version}`],
  ];
  return [
    ["memento", `${style.bold(id)}${removed ? style.red(" removed") : ""}`],
    ["of", `${entry.caretaker}/${entry.originator}, number ${sequence}`],
    ["taken", `${entry.created} (${agoText(entry.created, now)}), ${reasonText(entry)}`],
    ["status", paintStatus(style, entry.status)],
    ...optional.flatMap(([fact, value]) => (value === undefined || value === "" ? [] : [[fact, value] as const])),
    ["after", parent ?? "nothing: it is the first"],
    ["generation", `${generation}, epoch ${epoch}`],
    ["size", `${bytesText(sizes.logicalBytes)}, of which ${bytesText(sizes.heldBytes)} are written here`],
    ["digest", digest],
    ["content digest", contentDigest],
  ];
}

function snapshotSections({ snapshot, outputs }: MementoView, limits: ValueLimits): [string, Facts][] {
  if (snapshot === null) return [];
  const { run, progress, offsets, schema, credentials, state, sinks } = snapshot;
  const runFacts: Facts =
    run === null
      ? []
      : valueFacts({ params: run.params, key: run.key, started: run.started, module: run.module }, limits);
  const credentialFacts = Object.entries(credentials).map(([name, { provider, scope, expires }]) => {
    return [
      name,
      [provider, scope, expires === null ? "no expiry" : `until ${expires}`].filter((part) => part !== "").join(", "),
    ] as const;
  });
  return [
    ["run", runFacts],
    [
      "progress",
      progress === null
        ? []
        : valueFacts({ stage: progress.stage, records: progress.records, total: progress.total }, limits),
    ],
    ["offsets", valueFacts(Object.fromEntries(offsets), limits)],
    ["schema versions", valueFacts(schema, limits)],
    ["credentials", credentialFacts],
    ["state", valueFacts(state, limits)],
    ["sinks", valueFacts(Object.fromEntries([...sinks].map(([name, { marks }]) => [name, marks])), limits)],
    ["outputs", outputs.map((output) => [output.stage, outputText(output, limits)] as const)],
  ];
}

function valueFacts(values: unknown, limits: ValueLimits): Facts {
  if (typeof values !== "object" || values === null) return [["", valueText(values, limits)]];
  return Object.entries(values).flatMap(([name, value]) =>
    value === null || value === undefined ? [] : [[name, factText(value, limits)] as const],
  );
}

const factText = (value: unknown, limits: ValueLimits): string =>
  typeof value === "string" ? value : valueText(value, limits);

function outputText({ bytes, shown, value }: OutputView, limits: ValueLimits): string {
  if (!shown) return `${bytesText(bytes)}; --full shows it`;
  return limits.lines === null || !isFlowSummary(value) ? valueText(value, limits) : summaryText(value);
}

/** A flow stage's output in a line; --full shows its digests and the records that failed. */
function summaryText({ recordsIn, recordsOut, invalid, invalidSamples }: FlowSummary): string {
  const [first] = invalidSamples;
  const failed =
    invalid === 0 ? "" : `, ${grouped(invalid)} invalid${first === undefined ? "" : ` (the first: ${first.issues})`}`;
  return `${counted(recordsIn, "record")} in, ${grouped(recordsOut)} out${failed}`;
}

const labelText = (labels: Readonly<Record<string, string>>): string =>
  Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(" ");

const indented = (text: string): string => text.replaceAll(/^(?=.)/gmu, "  ");

/** Why a memento was taken, in words. */
export function reasonText({
  reason,
  stage,
  stageIndex,
}: Pick<MementoEntry, "reason" | "stage" | "stageIndex">): string {
  const at = stage === undefined ? "" : ` ${stage}`;
  switch (reason) {
    case "save":
      return "saved";
    case "start":
      return "start of a run";
    case "stage":
      return `end of stage${at}${stageIndex === undefined ? "" : ` (number ${stageIndex + 1})`}`;
    case "interval":
      return `inside stage${at}`;
    case "risk":
      return `before stage${at}`;
    case "failure":
      return `failure in stage${at}`;
    case "manual":
      return `by hand in stage${at}`;
    case "pause":
      return stage === undefined ? "pause" : `pause in stage${at}`;
    case "interrupt":
      return stage === undefined ? "interruption" : `interruption in stage${at}`;
    case "cancel":
      return stage === undefined ? "cancelled" : `cancelled in stage${at}`;
    case "retry":
      return `stage${at} is to be tried again`;
    case "item":
      return `end of an item of stage${at}`;
    case "sleep":
      return `sleep in stage${at}`;
    case "approval":
      return `approval${at}`;
    case "credential":
      return stage === undefined ? "a credential is missing" : `a credential is missing in stage${at}`;
    case "rollback-begin":
      return "before a rollback";
    case "rollback":
      return "rollback";
    case "edit":
      return "edit by hand";
    case "reset":
      return "reset";
    case "adopt":
      return "adoption of a fork";
    case "resume":
      return "resumption with nothing left to run";
    case "upcast":
      return "taken over by changed code";
    case "fork":
      return "fork";
  }
}
