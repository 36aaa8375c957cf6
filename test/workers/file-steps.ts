/**
 * Uses a file store until it is killed by its own SIGKILL before the n-th call to the file system, and prints a line for
 * each thing that was acknowledged. Arguments: the store's path, a timeline's key, and n (0: never).
 */
import { writeSync } from "node:fs";
import process from "node:process";

import { nodeFiles, type FilePort, type NewFile } from "../../packages/memento/src/store/file/file-port.ts";
import { FileStore } from "../../packages/memento/src/store/file/store.ts";
import { StoreFixture, TestTimeline } from "../../packages/memento/src/testing/store/fixture.ts";

/** What the steps print. */
export interface FileStepNews {
  readonly saved?: string;
  readonly removed?: string;
  readonly epoch?: number;
  /** How many calls were made, at the end. */
  readonly calls?: number;
}

const [path = "", key = "", killAt = "0"] = process.argv.slice(2);
let calls = 0;

async function counted<T>(call: () => Promise<T>): Promise<T> {
  calls += 1;
  if (calls === Number(killAt)) process.kill(process.pid, "SIGKILL");
  return await call();
}

const files: FilePort = {
  read: (file) => counted(() => nodeFiles.read(file)),
  create: async (file) => {
    const opened = await counted(() => nodeFiles.create(file));
    const handle: NewFile = {
      write: (bytes) => counted(() => opened.write(bytes)),
      sync: () => counted(() => opened.sync()),
      close: () => counted(() => opened.close()),
    };
    return handle;
  },
  link: (file, name) => counted(() => nodeFiles.link(file, name)),
  rename: (file, name) => counted(() => nodeFiles.rename(file, name)),
  unlink: (file) => counted(() => nodeFiles.unlink(file)),
  overwrite: (file, bytes) => counted(() => nodeFiles.overwrite(file, bytes)),
  makeFolder: (folder) => counted(() => nodeFiles.makeFolder(folder)),
  syncFolder: (folder) => counted(() => nodeFiles.syncFolder(folder)),
  async *list(folder) {
    await counted(() => Promise.resolve());
    yield* nodeFiles.list(folder);
  },
  modifiedAt: (file) => counted(() => nodeFiles.modifiedAt(file)),
};

const tell = (news: FileStepNews): void => void writeSync(1, `${JSON.stringify(news)}\n`);

const store = await FileStore.open({ path, files });
const state = await store.timeline(key);
if (state === null) throw new Error(`there is no timeline ${key}`);
const make = new StoreFixture(process.pid);
const line = new TestTimeline(make, state.record);
line.epoch = state.lease.epoch + 1;
line.sequence = state.head?.sequence ?? 0;
line.parent = state.head?.id ?? null;
if (!(await store.acquireLease({ timeline: key, lease: make.lease(line.epoch) })))
  throw new Error("the lease is taken");
tell({ epoch: line.epoch });
const { id } = await line.save(store, { name: "gold", replaceName: true });
tell({ saved: id });
await store.remove([id], make.notice("removed", { mementos: [id] }));
tell({ removed: id });
await store.reclaim([id]);
tell({ saved: (await line.save(store)).id });
await store.close();
tell({ calls });
