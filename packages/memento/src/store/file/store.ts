import nodePath from "node:path";
import { pathToFileURL } from "node:url";

import { systemClock, systemRandom, type Clock, type Random } from "../../core/ports.ts";
import { BlobStore } from "../blobs/store.ts";
import type { EngineFacts } from "../store.ts";
import { DurableFiles } from "./durable-write.ts";
import { nodeFiles, type FilePort } from "./file-port.ts";
import { folderFacts } from "./folder-facts.ts";

/** How to open a store in a folder. */
export interface FileStoreOptions {
  /** The folder; need not be there yet. */
  readonly path: string;
  readonly clock?: Clock;
  readonly random?: Random;
  /** The file system; the machine's own by default. */
  readonly files?: FilePort;
}

const BODY_BYTES_MAX = 2 ** 30;

/**
 * A store in a folder of plain files, durable, and shared by the processes of one machine. Needs a file system with hard
 * links, and nothing else: no locks, no server. Every file is written whole and synced under another name before it gets
 * its own (`durable-write.ts`); what rests on that is the engine's (`BlobStore`).
 */
export class FileStore extends BlobStore {
  readonly #root: string;

  private constructor({ path, clock = systemClock, random = systemRandom, files = nodeFiles }: FileStoreOptions) {
    const root = nodePath.resolve(path);
    const temporaryFolder = nodePath.join(root, "temporary");
    const place = {
      blobs: new DurableFiles({ files, clock, random, temporaryFolder }),
      root,
      url: pathToFileURL(root).href,
      supports: { durable: true, sharedBy: "machine", bodyBytesMax: BODY_BYTES_MAX, reclaimsSpace: true },
      // A pack in a file of its own costs one more sync, and old releases look for it there.
      tuning: { requestsAtOnce: 8, stateEveryMin: 1, inlineBytesMax: 0, proveConditions: false },
      createCondition: "link",
      close: async () => {},
    } as const;
    super(place, { clock, random });
    this.#root = root;
  }

  /** Opens a folder, and touches nothing in it before the first call. */
  static async open(options: FileStoreOptions): Promise<FileStore> {
    return new FileStore(options);
  }

  /** Looks at every file of the store once. */
  async engine(): Promise<EngineFacts> {
    return await folderFacts(this.#root);
  }
}
