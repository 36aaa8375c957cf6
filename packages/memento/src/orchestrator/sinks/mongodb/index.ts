export { mongodbCollection } from "./collection-sink.ts";
export type { MongodbCollectionOptions } from "./options.ts";
