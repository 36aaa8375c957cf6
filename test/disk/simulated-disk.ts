import path from "node:path";

import type { FilePort, NewFile } from "../../packages/memento/src/store/file/file-port.ts";
import type { SeededRandom } from "../../packages/memento/src/testing/seeded-random.ts";

/** What a call gets after its process was killed; nothing of the call has happened. */
export class Killed extends Error {
  override readonly name = "Killed";
}

interface FileNode {
  content: Buffer;
  /** What of the content is on the device; null before the first sync. */
  synced: Buffer | null;
}

type Node = FileNode | "folder";

/** How a process uses the disk. */
export interface ProcessOptions {
  /** Killed before its n-th call, counted from 1. */
  readonly killAt?: number;
  /** Stopped before its n-th call, until it is told to go on. */
  readonly stopAt?: number;
  /** Lets other processes have turns before each call. */
  readonly interleave?: SeededRandom;
}

/**
 * A disk in memory that keeps apart what was written and what was synced, by the rules that POSIX gives: bytes are on the
 * device after a sync of their file, a name after a sync of its folder, in no other order than that. Several processes may
 * use one disk; each may be killed at any of its calls, and the whole may lose its power.
 */
export class SimulatedDisk {
  #folders = new Map<string, Map<string, Node>>([["/", new Map()]]);
  #durable = new Map<string, Map<string, Node>>([["/", new Map()]]);

  /** The calls of one process. */
  process(options: ProcessOptions = {}): DiskProcess {
    return new DiskProcess(this, options);
  }

  /** A disk as this one may be after a loss of power: each change that was not synced is there or is not. */
  afterPowerLoss(random: SeededRandom): SimulatedDisk {
    const after = new SimulatedDisk();
    const survive = (folder: string): void => {
      const now = this.#folders.get(folder) ?? new Map<string, Node>();
      const durable = this.#durable.get(folder) ?? new Map<string, Node>();
      const left = new Map<string, Node>();
      for (const name of new Set([...now.keys(), ...durable.keys()])) {
        const node = (random.integer(2) === 0 ? now : durable).get(name);
        if (node === undefined) continue;
        left.set(name, node === "folder" ? node : survivor(node, random));
        if (node === "folder") survive(path.posix.join(folder, name));
      }
      after.#folders.set(folder, left);
      after.#durable.set(folder, new Map(left));
    };
    survive("/");
    return after;
  }

  /** An equal disk that shares nothing with this one. */
  copy(): SimulatedDisk {
    const copy = new SimulatedDisk();
    const nodes = new Map<FileNode, FileNode>();
    const copied = (node: Node): Node => {
      if (node === "folder") return node;
      const known = nodes.get(node) ?? { ...node };
      nodes.set(node, known);
      return known;
    };
    const copyAll = (folders: Map<string, Map<string, Node>>): Map<string, Map<string, Node>> =>
      new Map(
        [...folders].map(([name, names]) => [name, new Map([...names].map(([key, node]) => [key, copied(node)]))]),
      );
    copy.#folders = copyAll(this.#folders);
    copy.#durable = copyAll(this.#durable);
    return copy;
  }

  /** Every file's path, sorted. */
  files(): readonly string[] {
    const paths: string[] = [];
    for (const [folder, names] of this.#folders) {
      for (const [name, node] of names) if (node !== "folder") paths.push(path.posix.join(folder, name));
    }
    return paths.toSorted();
  }

  content(file: string): Buffer {
    return this.#file(file).content;
  }

  setContent(file: string, content: Buffer): void {
    const node = this.#file(file);
    node.content = content;
    node.synced = content;
  }

  delete(file: string): void {
    this.#names(path.posix.dirname(file)).delete(path.posix.basename(file));
    this.#durable.get(path.posix.dirname(file))?.delete(path.posix.basename(file));
  }

  create(file: string): FileNode {
    const node: FileNode = { content: Buffer.alloc(0), synced: null };
    this.#add(file, node);
    return node;
  }

  link(file: string, name: string): void {
    this.#add(name, this.#file(file));
  }

  rename(file: string, name: string): void {
    const node = this.#file(file);
    this.#names(path.posix.dirname(name)).set(path.posix.basename(name), node);
    this.#names(path.posix.dirname(file)).delete(path.posix.basename(file));
  }

  unlink(file: string): void {
    this.#file(file);
    this.#names(path.posix.dirname(file)).delete(path.posix.basename(file));
  }

  makeFolder(folder: string): void {
    this.#add(folder, "folder");
    this.#folders.set(folder, new Map());
    this.#durable.set(folder, new Map());
  }

  syncFolder(folder: string): void {
    this.#durable.set(folder, new Map(this.#names(folder)));
  }

  list(folder: string): readonly string[] {
    return [...this.#names(folder).keys()];
  }

  #add(name: string, node: Node): void {
    const names = this.#names(path.posix.dirname(name));
    if (names.has(path.posix.basename(name))) throw systemError("EEXIST", name);
    names.set(path.posix.basename(name), node);
  }

  #names(folder: string): Map<string, Node> {
    const names = this.#folders.get(folder);
    if (names === undefined) throw systemError("ENOENT", folder);
    return names;
  }

  #file(file: string): FileNode {
    const node = this.#names(path.posix.dirname(file)).get(path.posix.basename(file));
    if (node === undefined || node === "folder") throw systemError("ENOENT", file);
    return node;
  }
}

/** A file as it may be after a loss of power: whole once it was synced, otherwise any part of it, or zeros. */
function survivor({ content, synced }: FileNode, random: SeededRandom): FileNode {
  if (synced !== null && synced.equals(content)) return { content, synced };
  const choices = [
    Buffer.alloc(0),
    content.subarray(0, random.integer(content.length + 1)),
    Buffer.alloc(content.length),
  ];
  const left = choices[random.integer(choices.length)] ?? content;
  return { content: left, synced: left };
}

function systemError(code: string, file: string): Error {
  return Object.assign(new Error(`${code}: ${file}`), { code });
}

/** The file system as one process has it, until it is killed. */
export class DiskProcess implements FilePort {
  readonly #disk: SimulatedDisk;
  readonly #options: ProcessOptions;
  #calls = 0;
  readonly #stopped = Promise.withResolvers<void>();
  readonly #goneOn = Promise.withResolvers<void>();

  constructor(disk: SimulatedDisk, options: ProcessOptions) {
    this.#disk = disk;
    this.#options = options;
  }

  /** How many calls it has made. */
  get calls(): number {
    return this.#calls;
  }

  /** Resolves once it is stopped. */
  get stopped(): Promise<void> {
    return this.#stopped.promise;
  }

  /** Lets a stopped process go on. */
  goOn(): void {
    this.#goneOn.resolve();
  }

  get isKilled(): boolean {
    return this.#calls >= (this.#options.killAt ?? Infinity);
  }

  async read(file: string): Promise<Uint8Array> {
    await this.#call();
    return Buffer.from(this.#disk.content(file));
  }

  async create(file: string): Promise<NewFile> {
    await this.#call();
    const node = this.#disk.create(file);
    return {
      write: async (bytes) => {
        await this.#call();
        // The first write of a file is always short, so that whoever does not count bytes is found.
        const taken = node.content.length === 0 ? Math.ceil(bytes.byteLength / 2) : bytes.byteLength;
        node.content = Buffer.concat([node.content, bytes.subarray(0, taken)]);
        return taken;
      },
      sync: async () => {
        await this.#call();
        node.synced = node.content;
      },
      close: async () => await this.#call(),
    };
  }

  async link(file: string, name: string): Promise<void> {
    await this.#call();
    this.#disk.link(file, name);
  }

  async rename(file: string, name: string): Promise<void> {
    await this.#call();
    this.#disk.rename(file, name);
  }

  async unlink(file: string): Promise<void> {
    await this.#call();
    this.#disk.unlink(file);
  }

  async overwrite(file: string, bytes: Uint8Array): Promise<void> {
    await this.#call();
    this.#disk.setContent(file, Buffer.concat([bytes, this.#disk.content(file).subarray(bytes.byteLength)]));
  }

  async makeFolder(folder: string): Promise<void> {
    await this.#call();
    this.#disk.makeFolder(folder);
  }

  async syncFolder(folder: string): Promise<void> {
    await this.#call();
    this.#disk.syncFolder(folder);
  }

  async *list(folder: string): AsyncIterable<string> {
    await this.#call();
    yield* this.#disk.list(folder);
  }

  async modifiedAt(file: string): Promise<number> {
    await this.#call();
    this.#disk.content(file);
    return Infinity;
  }

  async #call(): Promise<void> {
    for (let turns = this.#options.interleave?.integer(4) ?? 0; turns > 0; turns--) {
      await new Promise((resolve) => void setImmediate(resolve));
    }
    this.#calls += 1;
    if (this.#calls === this.#options.stopAt) {
      this.#stopped.resolve();
      await this.#goneOn.promise;
    }
    if (this.isKilled) throw new Killed("the process was killed");
  }
}
