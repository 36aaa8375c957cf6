import { expect, test } from "vitest";

import { ownCommand } from "./own-command.ts";

const io = { cwd: "/etl" };

test("names the store that was named, and none where none was", () => {
  expect(ownCommand({ store: null, io }, "resume", "r1")).toBe("memento resume r1");
  expect(ownCommand({ store: "sqlite:./my store.db", io }, "plan", "head~1")).toBe(
    "memento plan head~1 --store 'sqlite:/etl/my store.db'",
  );
  expect(ownCommand({ store: null, io }, "fork", "--name", "it's")).toBe("memento fork --name 'it'\\''s'");
});

test("P4: says no password, key or token of a store's URL", () => {
  const shown = (store: string): string => ownCommand({ store, io }, "ls");
  expect(shown("postgres://me:hunter2@host:5432/db?schema=a")).toContain("postgres://me:***@host:5432/db?schema=a");
  expect(shown("redis://:hunter2@host")).toContain("redis://:***@host");
  expect(shown("mongodb://me:hunt@er2@a,b/db")).not.toMatch(/hunt|er2/u);
  expect(shown("mongodb://me:hunt/er2@a,b/db")).not.toMatch(/hunt|er2/u);
  const query = shown("azure://account/box?sig=hunter2&accountKey=hunter3&endpoint=http://h&SharedSecret=hunter4");
  expect(query).not.toContain("hunter");
  expect(query).toContain("endpoint=http://h");
});

test.each([
  "mongodb://db.example/app?authSource=admin",
  "postgres://db:5432/app?sslmode=verify-full&sslkey=/etc/pg/client.key",
  "redis://cache:6379/0?prefix=team@etl",
  "s3://box/team@etl?endpoint=http://127.0.0.1:9000",
  "mongodb://me@[::1]:27017,b:1/db",
])("names %s as it is", (url) => {
  expect(ownCommand({ store: url, io }, "ls").replaceAll("'", "")).toBe(`memento ls --store ${url}`);
});
