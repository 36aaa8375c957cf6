import process from "node:process";

import { isMementoError, Memento } from "@mementojs/memento";
import { openStore } from "@mementojs/memento/store";

import { CallCounter, type KillPoint } from "../crash/killing.ts";

/** What a worker is to do with the keys of a store; one JSON text as its only argument. */
export interface KeyTask {
  readonly url: string;
  readonly keyFile: string;
  readonly action: "save" | "rotate";
  readonly name: string;
  readonly secret: string;
  /** save: how many sessions, each with a data key of its own, and five mementos in each. */
  readonly sessions?: number;
  readonly kill?: KillPoint;
}

const task = JSON.parse(process.argv[2] ?? "{}") as KeyTask;
const counter = new CallCounter(task.kill ?? null);

async function open(): Promise<Memento> {
  const { store } = await openStore(task.url);
  return await Memento.open(counter.wrap("store", store), { keys: { file: task.keyFile } });
}

try {
  if (task.action === "rotate") {
    await using memento = await open();
    process.stdout.write(`${JSON.stringify(await memento.rotateKeys())}\n`);
  } else {
    for (let session = 0; session < (task.sessions ?? 1); session++) {
      await using memento = await open();
      for (let number = 0; number < 5; number++) {
        const { id } = await memento.caretaker(task.name).save({ session, number, secret: task.secret });
        process.stdout.write(`${id} ${session} ${number}\n`);
      }
    }
  }
} catch (error) {
  if (!isMementoError(error)) throw error;
  process.stdout.write(`${error.code}: ${error.message}\n`);
  process.exitCode = 1;
}
