import path from "node:path";

import { clearFolder } from "./demo-folder.ts";
import type { Screen } from "./demo-screen.ts";
import {
  contentOf,
  impossibleFlights,
  loadedRows,
  memento,
  mementoJson,
  startMemento,
  untilLoaded,
  type World,
} from "./demo-world.ts";

/** Everything that the story needs to know before it begins. */
export interface Story {
  readonly screen: Screen;
  /** Flights in all, in the first part, and in the table when the first run is killed. */
  readonly records: number;
  readonly firstPart: number;
  readonly killAt: number;
  readonly world: World;
  /** Where the uninterrupted run works. */
  readonly apart: World;
  readonly passwordIsMadeUp: boolean;
}

/** What came of it, for programs. */
export interface StorySummary {
  readonly folder: string;
  readonly store: string;
  readonly records: number;
  readonly killedAtRows: number;
  readonly rowsAtCheckpoint: number;
  readonly recordsReadAgain: number;
  readonly corruptedRows: number;
  readonly rolledBack: { readonly rows: number; readonly digest: string; readonly equal: boolean };
  readonly content: Content;
  readonly uninterrupted: Content;
  readonly equal: boolean;
}

interface Content {
  readonly rows: number;
  readonly quarantined: number;
  readonly digest: string;
}

interface RunJson {
  readonly resumed: boolean;
  readonly recordsReadAgain: number;
  readonly head: string;
}

interface ShowJson {
  readonly memento: { readonly id: string; readonly sequence: number; readonly reason: string };
  readonly state: { readonly flights?: number };
  readonly offsets: { readonly flights?: { readonly "0"?: { readonly row?: number } } };
}

const FLIGHTS = import.meta.dirname;
const SOUND = "pipeline.ts";
const BROKEN = "broken-transform.ts";
const RUNS_TO_KILL_MAX = 5;

/** Tells the story, chapter by chapter; throws when a command of it fails. */
export async function tellStory(story: Story): Promise<StorySummary> {
  const killed = await killedRun(story);
  const resumed = await resumedRun(story);
  const before = await standing(story.world);
  const { corruptedRows } = await brokenRun(story);
  const rolledBack = await rollback(story, resumed.head, before);
  const { content, uninterrupted } = await proof(story);
  const equal = rolledBack.equal && JSON.stringify(content) === JSON.stringify(uninterrupted);
  await farewell(story, equal);
  const { world, records } = story;
  const { recordsReadAgain } = resumed;
  return {
    folder: world.folder,
    store: world.store,
    records,
    ...killed,
    recordsReadAgain,
    corruptedRows,
    rolledBack,
    content,
    uninterrupted,
    equal,
  };
}

async function killedRun(story: Story): Promise<{ killedAtRows: number; rowsAtCheckpoint: number }> {
  const { screen, world, killAt, firstPart } = story;
  await screen.chapter("A load is killed in its middle");
  screen.say(
    `${count(firstPart)} real flights of 2001 go from a Parquet file into a SQLite table, with a checkpoint every 10,000.`,
  );
  screen.say("The process is killed with SIGKILL, which no program can catch, somewhere in the middle.");
  screen.command(commandLine(SOUND, firstPart));
  for (let attempt = 1; ; attempt++) {
    const started = startMemento(world, runArguments(world, SOUND, firstPart));
    await untilLoaded(world, started, killAt);
    started.kill();
    const { exitCode, signal, stderr } = await started.ended;
    if (signal === "SIGKILL") break;
    if (exitCode !== 0) throw new Error(`The first run failed.\n${stderr}`);
    // A machine that was busy elsewhere looked too late: once more, from nothing.
    if (attempt === RUNS_TO_KILL_MAX) throw new Error(`${RUNS_TO_KILL_MAX} runs were over before they could be killed`);
    clearFolder(world.folder);
  }
  const killedAtRows = loadedRows(world);
  const { memento: last, offsets, state } = await showHead(world);
  const rowsAtCheckpoint = state.flights ?? 0;
  screen.say(
    `Killed. The table holds ${count(killedAtRows)} rows. The last checkpoint, memento #${last.sequence}, covers ${count(rowsAtCheckpoint)} of them: it stands at record ${count(recordsOf(offsets))} of the input.`,
  );
  return { killedAtRows, rowsAtCheckpoint };
}

async function resumedRun(story: Story): Promise<RunJson> {
  const { screen, world, firstPart } = story;
  await screen.chapter("The same command again: it goes on where it was");
  screen.command(commandLine(SOUND, firstPart));
  const { offsets } = await showHead(world);
  const { stdout, stderr } = await memento(world, [...runArguments(world, SOUND, firstPart), "--json"]);
  const result = JSON.parse(stdout) as RunJson;
  if (!result.resumed) throw new Error("The second run was no resumed one");
  const told = stderr.split("\n").filter((line) => /^resumed|^ +sink/u.test(line));
  screen.say(`It says: ${told.map((line) => line.trim()).join("; ")}.`);
  screen.say(
    `${count(recordsOf(offsets))} records were skipped: a checkpoint covers them. What the table held beyond it was taken back, and those ${count(result.recordsReadAgain)} records were read again. The table now holds ${count(loadedRows(world))} rows, none twice, none missing.`,
  );
  return result;
}

async function brokenRun(story: Story): Promise<{ corruptedRows: number }> {
  const { screen, world, records, firstPart } = story;
  await screen.chapter("A new version loads more, and spoils it");
  screen.say(
    `Version 1.1.0 keeps distances in 16 bits. It is let loose on the next ${count(records - firstPart)} flights, and nothing complains.`,
  );
  screen.command(commandLine(BROKEN, records));
  await memento(world, runArguments(world, BROKEN, records));
  const corruptedRows = impossibleFlights(world);
  screen.say(
    `It completed; the table holds ${count(loadedRows(world))} rows. Then a check asks for flights that went nowhere, or backwards:`,
  );
  screen.command("SELECT count(*) FROM flights WHERE distance_km <= 0");
  screen.quote(count(corruptedRows));
  if (corruptedRows === 0) throw new Error("The bad load spoiled nothing");
  return { corruptedRows };
}

interface Standing {
  readonly show: ShowJson;
  readonly content: Content;
}

async function standing(world: World): Promise<Standing> {
  const { flights, quarantined } = contentOf(world);
  return { show: await showHead(world), content: { ...flights, quarantined } };
}

async function rollback(story: Story, target: string, before: Standing): Promise<StorySummary["rolledBack"]> {
  const { screen, world } = story;
  const spoiled = await standing(world);
  await screen.chapter("What a rollback would do: the plan");
  screen.say(
    "The target is the last memento before the bad load. A plan says what would happen to data, offsets and state, and changes nothing.",
  );
  screen.command(`memento plan ${target}`);
  const { stdout: plan } = await memento(world, ["plan", target]);
  screen.quote(plan.replaceAll(`${world.folder}${path.sep}`, ""));
  const { hash } = await mementoJson<{ readonly hash: string }>(world, ["plan", target]);
  await screen.chapter("The rollback: table, offsets and state together");
  screen.say("It is applied by the plan's hash: had anything moved since, it would be refused.");
  screen.command(`memento rollback ${target} --plan ${hash} --why 'distances of version 1.1.0'`);
  const { stdout: done } = await memento(world, [
    "rollback",
    target,
    "--plan",
    hash,
    "--why",
    "distances of version 1.1.0",
  ]);
  screen.quote(done);
  const after = await standing(world);
  const facts = [before, spoiled, after];
  screen.table([
    ["", "before the bad load", "after it", "rolled back"],
    ["rows in the table", ...facts.map(({ content }) => count(content.rows))],
    ["set aside", ...facts.map(({ content }) => count(content.quarantined))],
    ["content (SHA-256)", ...facts.map(({ content }) => content.digest.slice(0, 16))],
    ["offset in the input", ...facts.map(({ show }) => count(recordsOf(show.offsets)))],
    ["state: flights", ...facts.map(({ show }) => count(show.state.flights ?? 0))],
  ]);
  const equal =
    JSON.stringify([before.content, before.show.offsets, before.show.state]) ===
    JSON.stringify([after.content, after.show.offsets, after.show.state]);
  return { rows: after.content.rows, digest: after.content.digest, equal };
}

async function proof(story: Story): Promise<{ content: Content; uninterrupted: Content }> {
  const { screen, world, apart, records } = story;
  await screen.chapter("The sound version loads the same flights");
  screen.command(commandLine(SOUND, records));
  await memento(world, runArguments(world, SOUND, records));
  screen.say(`Done. For comparison, all ${count(records)} at once in another folder, by a run that nobody disturbs:`);
  screen.command(`${commandLine(SOUND, records, "uninterrupted/warehouse.db")} --store sqlite:uninterrupted/store.db`);
  await memento(apart, runArguments(apart, SOUND, records));
  const [content, uninterrupted] = [(await standing(world)).content, (await standing(apart)).content];
  await screen.chapter("Side by side");
  screen.table([
    ["", "killed, spoiled, rolled back", "uninterrupted", ""],
    [
      "rows in the table",
      count(content.rows),
      count(uninterrupted.rows),
      sameText(content.rows === uninterrupted.rows),
    ],
    [
      "set aside",
      count(content.quarantined),
      count(uninterrupted.quarantined),
      sameText(content.quarantined === uninterrupted.quarantined),
    ],
    [
      "content (SHA-256)",
      content.digest.slice(0, 24),
      uninterrupted.digest.slice(0, 24),
      sameText(content.digest === uninterrupted.digest),
    ],
  ]);
  return { content, uninterrupted };
}

async function farewell({ screen, world, passwordIsMadeUp }: Story, equal: boolean): Promise<void> {
  screen.say(
    equal
      ? "Equal. Nothing was lost, nothing was doubled, and nothing of the bad load is left."
      : "NOT EQUAL: something is wrong, and this demo has failed.",
  );
  await screen.chapter("Look around");
  screen.say(`Everything is left in ${world.folder}. Try:`);
  const store = `--store ${world.store}`;
  const commands = [
    `npx memento log ${store}`,
    `npx memento ls --limit 10 ${store}`,
    `npx memento show head ${store}`,
    `npx memento diff head~1 head ${store}`,
    `npx memento verify ${store}`,
  ];
  screen.quote(commands.join("\n"));
  if (passwordIsMadeUp) {
    screen.say(
      "The warehouse's password was made up and is gone. To go on loading and rolling back, set DEMO_WAREHOUSE_PASSWORD and run the demo again.",
    );
  }
}

async function showHead(world: World): Promise<ShowJson> {
  return await mementoJson<ShowJson>(world, ["show", "head"]);
}

/** The records that were read before the offset of a Parquet file. */
function recordsOf({ flights }: ShowJson["offsets"]): number {
  return flights?.["0"]?.row ?? 0;
}

function runArguments(world: World, file: string, limit: number): string[] {
  return ["run", path.join(FLIGHTS, file), "--param", `into=${world.warehouse}`, "--param", `limit=${limit}`];
}

function commandLine(file: string, limit: number, into = "warehouse.db"): string {
  return `memento run examples/flights/${file} --param into=${into} --param limit=${limit}`;
}

const sameText = (same: boolean): string => (same ? "equal" : "DIFFERENT");

const count = (value: number): string => value.toLocaleString("en");
