export { S3Store, type S3StoreOptions } from "./store.ts";
