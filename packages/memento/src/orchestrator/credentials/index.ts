export * from "./aws-sts.ts";
export * from "./cloud-tokens.ts";
export * from "./command.ts";
export * from "./environment.ts";
export * from "./file.ts";
export * from "./hashicorp-vault.ts";
export type * from "./provider.ts";
