import { posix } from "node:path";

import { MementoError } from "../../../core/errors.ts";
import { randomText } from "../../../core/ids.ts";
import type { Clock, Random } from "../../../core/ports.ts";
import { DurableFiles } from "../../../store/file/durable-write.ts";
import type { DatasetFiles } from "./files.ts";
import { LAYOUT, versionFile, versionOf } from "./layout.ts";
import { type DatasetChange, type Manifest, openSealedJson, sealedJson } from "./manifest.ts";
import type { DatasetFormat } from "./options.ts";
import { snapshotOf, stateOf } from "./snapshot.ts";
import { DatasetState } from "./state.ts";

/** What a chain works with. */
export interface ChainPorts {
  readonly folder: string;
  readonly files: DatasetFiles;
  readonly clock: Clock;
  readonly random: Random;
}

/** A snapshot is due when the manifests since the last one are as many bytes as it has, but not before this many. */
const SNAPSHOT_BYTES_MIN = 64 << 10;

/**
 * The manifests of a dataset: version after version, each made by whoever is first to give its file its name. All that is known
 * of the dataset follows from them.
 *
 * Old manifests go once a snapshot holds what they said. A writer that slept so long that the next manifest's name was already
 * free again would take it and be believed by nobody: a snapshot from that version on says that the name is spent, and is looked
 * for after each commit. Readers look for one before and after they follow the chain.
 */
export class Chain {
  readonly durable: DurableFiles;
  readonly #ports: ChainPorts;
  #state = new DatasetState();
  #bytesSince = 0;
  #snapshotBytes = 0;

  constructor(ports: ChainPorts) {
    this.#ports = ports;
    const temporaryFolder = this.path(LAYOUT.temporary);
    this.durable = new DurableFiles({ ...ports, temporaryFolder });
  }

  /** A path below the dataset's folder as the file system knows it. */
  path(below: string): string {
    return posix.join(this.#ports.folder, below);
  }

  /** The newest version, read if this process has not read it yet. Changes nothing on disk. DAMAGED where a manifest is not what it was. */
  async refresh(): Promise<DatasetState> {
    for (;;) {
      const snapshot = await this.#newestSnapshot();
      if (snapshot > this.#state.version && !(await this.#load(snapshot))) continue;
      while (await this.#follow());
      if ((await this.#newestSnapshot()) === snapshot) return this.#state;
      // Somebody made a snapshot meanwhile: what was followed may have been a name that was spent.
      this.#state = new DatasetState();
    }
  }

  /** Like `refresh`, and DAMAGED where manifests follow that cannot be reached because one before them is gone. */
  async open(): Promise<DatasetState> {
    let last = 0;
    for await (const name of this.durable.list(this.path(LAYOUT.manifests)))
      last = Math.max(last, versionOf(name) ?? 0);
    const state = await this.refresh();
    if (state.version >= last) return state;
    const missing = this.path(versionFile(LAYOUT.manifests, state.version + 1));
    throw new MementoError("DAMAGED", `${missing} is missing, and later versions build on it`, {
      details: { path: missing },
      hint: "Bring the file back from a copy of the folder.",
    });
  }

  /**
   * Makes the change the next version, durably. False, and nothing has changed, when somebody else was first: then `refresh`,
   * and decide again. After an error it is open whether the version was made; a `refresh` will tell.
   */
  async commit(change: DatasetChange, format: DatasetFormat): Promise<boolean> {
    const state = this.#state;
    const version = state.version + 1;
    if (version === 1) await this.makeFolders();
    const manifest: Manifest = {
      version,
      previous: state.digest,
      at: this.#ports.clock.now(),
      ...(version === 1 ? { dataset: { place: randomText(this.#ports.random, 12), format } } : {}),
      change,
    };
    const { bytes, digest } = sealedJson(manifest);
    const path = this.path(versionFile(LAYOUT.manifests, version));
    if (!(await this.durable.createIfAbsent(path, [bytes]))) return false;
    if ((await this.#newestSnapshot()) >= version) return false;
    state.apply(manifest, digest);
    this.#bytesSince += bytes.byteLength;
    if (this.#bytesSince >= Math.max(SNAPSHOT_BYTES_MIN, this.#snapshotBytes)) await this.snapshot();
    return true;
  }

  /** Makes the dataset's folders, durably; called before the first file of a new dataset. */
  async makeFolders(): Promise<void> {
    await this.durable.ensureFolders(this.path(LAYOUT.books));
    for (const folder of [LAYOUT.files, LAYOUT.manifests, LAYOUT.snapshots, LAYOUT.kept, LAYOUT.views])
      await this.durable.ensureFolder(this.path(folder));
  }

  /** Writes down all that is known as of the newest version that was read. */
  async snapshot(): Promise<void> {
    const { bytes } = sealedJson(snapshotOf(this.#state));
    await this.durable.createIfAbsent(this.path(versionFile(LAYOUT.snapshots, this.#state.version)), [bytes]);
    this.#snapshotBytes = bytes.byteLength;
    this.#bytesSince = 0;
  }

  /** Takes away manifests that a snapshot holds, and all snapshots but the newest. */
  async tidy(): Promise<void> {
    if (this.#bytesSince > 0) await this.snapshot();
    const newest = await this.#newestSnapshot();
    for (const [folder, last] of [[LAYOUT.manifests, newest] as const, [LAYOUT.snapshots, newest - 1] as const]) {
      for await (const name of this.durable.list(this.path(folder))) {
        const version = versionOf(name);
        if (version !== null && version <= last) await this.durable.remove(this.path(posix.join(folder, name)));
      }
    }
  }

  async #newestSnapshot(): Promise<number> {
    let newest = 0;
    for await (const name of this.durable.list(this.path(LAYOUT.snapshots)))
      newest = Math.max(newest, versionOf(name) ?? 0);
    return newest;
  }

  /** Goes on to a snapshot; false where it has made room for a newer one meanwhile. */
  async #load(version: number): Promise<boolean> {
    const path = this.path(versionFile(LAYOUT.snapshots, version));
    const bytes = await this.durable.read(path);
    if (bytes === null) return false;
    this.#state = stateOf(openSealedJson(bytes, path).content);
    this.#snapshotBytes = bytes.byteLength;
    this.#bytesSince = 0;
    return true;
  }

  /** Goes on by one manifest; false where there is none. */
  async #follow(): Promise<boolean> {
    const path = this.path(versionFile(LAYOUT.manifests, this.#state.version + 1));
    const bytes = await this.durable.read(path);
    if (bytes === null) return false;
    const { content, digest } = openSealedJson(bytes, path);
    const manifest = content as Manifest;
    if (manifest.version !== this.#state.version + 1 || manifest.previous !== this.#state.digest) {
      throw new MementoError("DAMAGED", `${path} does not follow from the manifest before it`, { details: { path } });
    }
    this.#state.apply(manifest, digest);
    this.#bytesSince += bytes.byteLength;
    return true;
  }
}
