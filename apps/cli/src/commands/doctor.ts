import { statSync } from "node:fs";
import path from "node:path";

import { isMementoError, type Memento } from "@mementojs/memento";
import { placeOfUrl, systemCode } from "@mementojs/memento/core";
import type { Command } from "commander";

import { addHelp } from "../command-help.ts";
import { bad, good, type Finding } from "../diagnosis/finding.ts";
import { checkDurableWrite, checkFreeSpace, checkKey, checkNode } from "../diagnosis/machine.ts";
import { examineEngine, examineReplica, type ExaminedStore } from "../diagnosis/stores.ts";
import { checkContent, checkLeases, checkRuns } from "../diagnosis/timelines.ts";
import { EXIT, exitCodeOf } from "../exit-code.ts";
import { failureOf } from "../failure.ts";
import type { Invocation, Outcome, Runner } from "../invocation.ts";
import { collect } from "../option-values.ts";
import { keyPlaceOf } from "../place/make-store.ts";
import { findStore, openAt, type StorePlace } from "../place/store-place.ts";
import type { Style } from "../terminal/style.ts";
import { renderFacts } from "../terminal/table.ts";
import { counted } from "../terminal/words.ts";

/** `memento doctor`: looks at everything that a run needs, and says what to do. */
export function registerDoctor(program: Command, run: Runner): void {
  const command = program
    .command("doctor")
    .summary("check the machine, the store and its runs")
    .description(
      "Looks at what runs need: Node.js, the store and its engine, its key, leases, unfinished runs and rollbacks, the disk. Says what to do about each.",
    )
    .option(
      "--replica <url>",
      "also look at this copy of the store, and how far it is behind; repeat for more",
      collect,
    )
    .action(async (options: DoctorOptions) => await run(async (invocation) => await doctor(invocation, options)));
  addHelp(command, {
    examples: [
      ["memento doctor", "of the store of this project"],
      ["memento doctor --replica s3://backup/memento", "and is the backup up to date?"],
      ["memento doctor --json", "for a monitor: exit code 1 when something is bad"],
    ],
    exitCodes: [EXIT.damaged],
  });
}

async function doctor(invocation: Invocation, { replica = [] }: DoctorOptions): Promise<Outcome> {
  const place = findStore(invocation);
  const findings: Finding[] = [checkNode()];
  const stores: ExaminedStore[] = [];
  const problem = await examineStore(invocation, place, { findings, stores, replicas: replica });
  const anyBad = findings.some(({ verdict }) => verdict === "bad");
  const exitCode = problem === null ? (anyBad ? EXIT.failed : EXIT.done) : exitCodeOf(problem);
  return {
    json: { healthy: !anyBad, store: stores[0]?.url ?? placeOfUrl(place.url), findings, stores },
    text: () => text(findings, invocation.style),
    exitCode,
  };
}

interface DoctorOptions {
  readonly replica?: readonly string[];
}

/** What an examination adds to, and what else it looks at. */
interface Examination {
  readonly findings: Finding[];
  readonly stores: ExaminedStore[];
  readonly replicas: readonly string[];
}

/** Adds what was found; gives the code of the error that kept the store from being looked at, or null. */
async function examineStore(
  invocation: Invocation,
  place: StorePlace,
  { findings, stores, replicas }: Examination,
): Promise<string | null> {
  const { io } = invocation;
  let sealed: boolean | null = null;
  let problem: string | null = null;
  const folder = folderOf(place);
  try {
    await using memento = await openAt(place, io);
    const { meta, store } = memento.vault;
    ({ sealed } = meta);
    findings.push(
      good(
        "store",
        `${store.url}, format ${meta.format}, ${meta.sealed ? "sealed" : "not sealed"}, made ${meta.created}`,
      ),
    );
    const engine = await examineEngine(store);
    findings.push(...engine.findings);
    stores.push(engine.examined);
    findings.push(...(await examineContent(memento, invocation)));
    for (const url of replicas) {
      const { examined, findings: found } = await examineReplica(store, url, io.cwd);
      findings.push(...found);
      if (examined !== null) stores.push(examined);
    }
  } catch (error) {
    if (!isMementoError(error)) throw error;
    const { message, hint, code } = failureOf(error);
    findings.push(bad("store", `${message} (${code})`, hint));
    problem = code;
  }
  if (place.exists) findings.push(...(await checkKey(keyPlaceOf(place, io.env, sealed))));
  if (folder !== null) findings.push(...(await examineFolder(invocation, folder)));
  return problem;
}

async function examineContent(memento: Memento, invocation: Invocation): Promise<readonly Finding[]> {
  return [
    await checkContent(memento),
    ...(await checkLeases(memento, invocation.io.clock)),
    ...(await checkRuns(memento, invocation)),
  ];
}

async function examineFolder({ io }: Invocation, folder: string): Promise<readonly Finding[]> {
  try {
    return [checkDurableWrite(folder, io.clock), await checkFreeSpace(folder)];
  } catch (error) {
    const code = systemCode(error);
    if (code === undefined) throw error;
    return [
      bad(
        "durable write",
        `${folder} cannot be written (${code})`,
        "Check the folder's permissions, and that its disk is not mounted read-only or full.",
      ),
    ];
  }
}

/** The folder in which the store's bytes are; null where it is not on this machine, or not there. */
function folderOf({ path: place, exists }: StorePlace): string | null {
  if (place === null || !exists) return null;
  try {
    return statSync(place).isDirectory() ? place : path.dirname(place);
  } catch (error) {
    // It may not be looked into, which was said of the store.
    if (systemCode(error) !== "EACCES") throw error;
    return null;
  }
}

function text(findings: readonly Finding[], style: Style): string {
  const signs = { good: style.green("✓"), advice: style.yellow("!"), bad: style.red("✗") };
  const facts = findings.map(({ check, verdict, finding, advice }): readonly [string, string] => {
    return [`${signs[verdict]} ${check}`, advice === null ? finding : `${finding}\n${style.dim("->")} ${advice}`];
  });
  const [wrong, advised] = [countOf(findings, "bad"), countOf(findings, "advice")];
  const end =
    wrong > 0
      ? style.red(`${counted(wrong, "thing")} ${wrong === 1 ? "is" : "are"} wrong.`)
      : advised > 0
        ? `Nothing is wrong; ${counted(advised, "thing")} to look at.`
        : style.green("All is well.");
  return `${renderFacts(facts, style)}\n\n${end}${wrong > 0 ? "" : UNREAD}`;
}

const UNREAD = " What is in the mementos was not read: `memento verify` reads every byte.";

const countOf = (findings: readonly Finding[], verdict: Finding["verdict"]): number =>
  findings.filter((finding) => finding.verdict === verdict).length;
