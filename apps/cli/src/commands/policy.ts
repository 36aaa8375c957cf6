import { MementoError, type CaretakerPolicy, type KeepRules } from "@mementojs/memento";
import { Option, type Command } from "commander";

import { addHelp } from "../command-help.ts";
import { EXIT } from "../exit-code.ts";
import type { Invocation, Outcome, Runner } from "../invocation.ts";
import { byteSize, collect, wholeNumber } from "../option-values.ts";
import { caretakersText, livingCaretakers } from "../pipelines/caretakers.ts";
import { openMemento } from "../place/store-place.ts";

interface PolicyOptions {
  readonly keepLast?: number;
  readonly keepHourly?: number;
  readonly keepDaily?: number;
  readonly keepWeekly?: number;
  readonly keepMonthly?: number;
  readonly keepYearly?: number;
  readonly keepWithin?: string;
  readonly olderThan?: string;
  readonly ttl?: string;
  readonly maxCount?: number;
  readonly maxBytes?: number;
  readonly keepLabel?: readonly string[];
  readonly over?: "timeline" | "caretaker";
  readonly timeZone?: string;
  readonly queryable?: readonly string[];
  readonly codec?: string;
  readonly show?: true;
  readonly clear?: true;
}

/** `memento policy CARETAKER`: shows or changes what is kept of a caretaker. */
export function registerPolicy(program: Command, run: Runner): void {
  const command = program
    .command("policy")
    .summary("show or change what is kept of a caretaker")
    .description(
      "Shows a caretaker's policy, or changes the rules that are given and leaves the others. It takes effect with `memento gc`. Heads, pinned mementos and protected labels are never removed.",
    )
    .argument("<caretaker>", "its name; pipelines have the caretaker `pipelines` unless they name another one")
    .option("--keep-last <n>", "keep the newest so many, whatever else is said", wholeNumber)
    .option("--keep-hourly <n>", "keep the newest of each of the last so many hours", wholeNumber)
    .option("--keep-daily <n>", "of days", wholeNumber)
    .option("--keep-weekly <n>", "of weeks, which begin on Mondays", wholeNumber)
    .option("--keep-monthly <n>", "of months", wholeNumber)
    .option("--keep-yearly <n>", "of years", wholeNumber)
    .option("--keep-within <span>", "keep all that are at most this much older than the newest, such as 30d or 1y6mo")
    .option("--older-than <span>", "remove only what is older than this")
    .option("--ttl <span>", "remove what is older than this, kept by a rule or not")
    .option("--max-count <n>", "keep at most so many", wholeNumber)
    .option("--max-bytes <size>", "keep at most so many bytes, such as 500MB or 1.5GiB", byteSize)
    .option("--keep-label <label>", "never remove what has this label, KEY or KEY=VALUE; may be repeated", collect)
    .addOption(new Option("--over <what>", "what the rules count over").choices(["timeline", "caretaker"]))
    .option("--time-zone <name>", "in which hours and days are told apart, such as Europe/Vienna; default UTC")
    .option("--queryable <path>", "a path into metadata by which mementos can be found; may be repeated", collect)
    .option("--codec <name>", "zstd, gzip, brotli or none, with a level if wanted: zstd:3")
    .option("--clear", "begin with an empty policy")
    .option("--show", "show the policy; so does a call without rules")
    .action(
      async (caretaker: string, options: PolicyOptions) =>
        await run(async (invocation) => await policy(invocation, caretaker, options)),
    );
  addHelp(command, {
    examples: [
      ["memento policy pipelines", "what is kept of pipelines"],
      ["memento policy pipelines --keep-last 20 --keep-daily 14 --keep-monthly 12", "rules that add up"],
      ["memento policy pipelines --clear", "keep everything again"],
    ],
    exitCodes: [EXIT.refused],
  });
}

async function policy(invocation: Invocation, name: string, options: PolicyOptions): Promise<Outcome> {
  await using memento = await openMemento(invocation);
  const caretaker = memento.caretaker(name);
  const { clear, show, ...rules } = options;
  const changes = Object.keys(rules).length > 0;
  if (show === true && (changes || clear === true))
    throw new MementoError("INVALID_ARGUMENT", "--show goes with no other option of this command");
  const before = clear === true ? {} : await caretaker.policy();
  if (changes || clear === true) await caretaker.setPolicy(changed(before, rules));
  const now = await caretaker.policy();
  const pins = await caretaker.pins();
  const living = await livingCaretakers(memento);
  // It may be set before the first run; a name that was mistyped looks the same.
  const note = living.includes(name) ? "" : `\nIt has no mementos yet. ${caretakersText(living)}`;
  return { json: { caretaker: name, policy: now, pins }, text: () => `${policyText(name, now)}${note}` };
}

function changed(before: CaretakerPolicy, rules: PolicyOptions): CaretakerPolicy {
  const given = <T>(name: keyof CaretakerPolicy, value: T | undefined): Record<string, T> =>
    value === undefined ? {} : { [name]: value };
  const keep: Record<string, unknown> = { ...before.keep };
  const named: Readonly<Record<keyof KeepRules, unknown>> = {
    last: rules.keepLast,
    hourly: rules.keepHourly,
    daily: rules.keepDaily,
    weekly: rules.keepWeekly,
    monthly: rules.keepMonthly,
    yearly: rules.keepYearly,
    within: rules.keepWithin,
  };
  for (const [rule, value] of Object.entries(named)) if (value !== undefined) keep[rule] = value;
  return {
    ...before,
    ...(Object.keys(keep).length > 0 ? { keep } : {}),
    ...given("olderThan", rules.olderThan),
    ...given("ttl", rules.ttl),
    ...given("maxCount", rules.maxCount),
    ...given("maxBytes", rules.maxBytes),
    ...given("keepLabels", rules.keepLabel),
    ...given("over", rules.over),
    ...given("timeZone", rules.timeZone),
    ...given("queryable", rules.queryable),
    ...(rules.codec === undefined ? {} : { codec: codecOf(rules.codec) }),
  };
}

/** The policy's own check says what is wrong with a name or a level that is none. */
function codecOf(text: string): NonNullable<CaretakerPolicy["codec"]> {
  const [name = "", ...levels] = text.split(":");
  const level = levels.join(":");
  const codec = { name, ...(levels.length === 0 ? {} : { level: /^\d{1,2}$/u.test(level) ? Number(level) : level }) };
  return codec as NonNullable<CaretakerPolicy["codec"]>;
}

function policyText(name: string, { keep = {}, codec, ...rules }: CaretakerPolicy): string {
  const lines = [
    ...Object.entries(keep).map(([rule, count]) => `keep ${rule}: ${count}`),
    ...Object.entries(rules).map(([rule, value]) => `${rule}: ${typeof value === "object" ? value.join(", ") : value}`),
    ...(codec === undefined ? [] : [`codec: ${codec.name}${codec.level === undefined ? "" : ` ${codec.level}`}`]),
  ];
  return lines.length === 0
    ? `Caretaker ${name} has no policy: everything is kept.`
    : `Caretaker ${name}\n  ${lines.join("\n  ")}`;
}
