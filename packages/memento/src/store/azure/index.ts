export { AzureStore, type AzureAddress, type AzureHandedIn, type AzureStoreOptions } from "./store.ts";
