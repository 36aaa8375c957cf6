import { type Document, MongoClient, ObjectId } from "mongodb";

import { systemClock } from "../../packages/memento/src/core/ports.ts";
import { mongodbCollection } from "../../packages/memento/src/orchestrator/sinks/mongodb/index.ts";
import type { Sink } from "../../packages/memento/src/orchestrator/sinks/sink.ts";
import type { KitRow, SinkPlace } from "../../packages/memento/src/testing/sink/kit.ts";

/** A collection that the sink kit is run on. */
export interface KitCollection {
  readonly mode: "append" | "upsert";
  readonly commit: "transaction" | "staged";
  readonly key?: string;
}

interface Address extends KitCollection {
  readonly url: string;
}

/** What a worker process of the sink kit opens: each command that it sends is a step. */
export function kitSink(address: string, step: () => void): Sink<KitRow> {
  const { url, ...options } = JSON.parse(address) as Address;
  const client = new MongoClient(url, { monitorCommands: true, serverSelectionTimeoutMS: 5_000 });
  const changes = new Set(["insert", "update", "delete", "findAndModify", "commitTransaction", "createIndexes"]);
  client.on("commandStarted", ({ commandName }) => {
    if (changes.has(commandName)) step();
  });
  const sink = mongodbCollection<KitRow>({ ...options, client, database: databaseOf(url), collection: "kit" });
  const close = sink.close.bind(sink);
  return Object.assign(sink, {
    close: async () => {
      await close();
      await client.close();
    },
  });
}

/** Makes places of the sink kit: a database of its own each, on one server. */
export function mongodbCollectionPlace(
  url: (database: string) => string,
  collection: KitCollection,
): () => Promise<SinkPlace> {
  let places = 0;
  return async () => {
    places += 1;
    const address: Address = { ...collection, url: url(`kit_${collection.mode}_${collection.commit}_${places}`) };
    const client = new MongoClient(address.url);
    const documents = client.db(databaseOf(address.url)).collection("kit");
    return {
      sink: () =>
        mongodbCollection<KitRow>({ ...collection, url: address.url, collection: "kit", lockTimeoutMs: 5_000 }),
      read: async () => {
        if (collection.commit === "staged") await complete(address);
        const found = await documents.find().toArray();
        return new Map(found.map((document) => [nameOf(collection, document), rowOf(document)]));
      },
      meddle: async (item, row) => {
        const filter = filterOf(collection, item);
        if (row === null) await documents.deleteOne(filter);
        else await documents.replaceOne(filter, { ...row }, { upsert: true });
      },
      address: JSON.stringify(address),
      // The database stays until its server goes: dropping it would wait for the transactions of clients that were killed.
      dispose: async () => await client.close(),
    };
  };
}

/** Whoever opens a sink completes the staged write that a dead one has left. */
async function complete({ url, ...options }: Address): Promise<void> {
  const sink = mongodbCollection<KitRow>({ ...options, url, collection: "kit" });
  await sink.open({ timeline: "reader", name: "kit", clock: systemClock, signal: new AbortController().signal });
  await sink.close();
}

function databaseOf(url: string): string {
  return new URL(url).pathname.slice(1);
}

function nameOf({ key = "_id" }: KitCollection, document: Document): string {
  return key === "_id" ? `kit[_id=${String(document["_id"])}]` : `kit[${key}=${JSON.stringify(document[key])}]`;
}

function filterOf({ key = "_id" }: KitCollection, item: string): Document {
  const value = item.slice(`kit[${key}=`.length, -1);
  return { [key]: key === "_id" ? new ObjectId(value) : (JSON.parse(value) as string) };
}

function rowOf({ id, amount, note }: Document): KitRow {
  return { id: String(id), amount: Number(amount), note: note === null ? null : String(note) };
}
