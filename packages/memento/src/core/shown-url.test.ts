import { describe, expect, test } from "vitest";

import { placeOfUrl, shownUrl } from "./shown-url.ts";

describe("shownUrl()", () => {
  test.each([
    ["postgres://me:hunter2@host:5432/db?schema=a", "postgres://me:***@host:5432/db?schema=a"],
    ["redis://:hunter2@host", "redis://:***@host"],
    ["mongodb://me:hunt@er2@a,b/db", "mongodb://me:***@a,b/db"],
    ["mongodb://me:hunt/er2@a,b/db", "mongodb://me:***@a,b/db"],
    ["mongodb://me:hunt?er2@a,b/db", "mongodb://me:***@a,b/db"],
    ["mongodb://me:hunt#er2@a,b/db", "mongodb://me:***@a,b/db"],
    ["s3://box/team?accessKeyId=hunter2;x&endpoint=http://h", "s3://box/team?accessKeyId=***&endpoint=http://h"],
    ["azure://account/box?sig=hunter2#er3", "azure://account/box?sig=***"],
    ["redis://me:12/er2@h", "redis://me:***@h"],
    ["mysql://h/db?pwd=hunter2", "mysql://h/db?pwd=***"],
    ["postgres://u:123?hunter2@h/db", "postgres://u:***@h/db"],
    ["mongodb://u:27017#hunter2@h/db", "mongodb://u:***@h/db"],
    ["postgres://u:12/hu?nter2@h", "postgres://u:***@h"],
    ["redis://:hunter2", "redis://:***"],
    ["redis://:hunter2:6379", "redis://:***"],
    ["redis://hunter2@h:6379", "redis://***@h:6379"],
    ["postgres://u:hunter2/db", "postgres://u:***/db"],
    ["s3://box/p?endpoint=http://u:hunter2@h:9000", "s3://box/p?endpoint=http://***@h:9000"],
    ["s3://box/p?endpoint=http%3A%2F%2Fu%3Ahunter2%40h", "s3://box/p?endpoint=http%3A%2F%2F***%40h"],
    ["s3://box/p?secretAccessKey=a&b&hunter2&region=x", "s3://box/p?secretAccessKey=***&region=x"],
    ["postgres://h/d?user=u;password=hunter2", "postgres://h/d?user=u;password=***"],
    ["s3://box/p#secretAccessKey=hunter2", "s3://box/p#secretAccessKey=***"],
    ["oracle://u:hunter2", "oracle://u:***"],
    ["mysql:u:hunter2", "mysql:u:***"],
    ["postgres:u:hunter2@h/x", "***@h/x"],
    ["u:hunter2@h/x", "***@h/x"],
    ["oracle://u:hunter2/x@h/x?password=hunter2", "oracle://***@h/x?…"],
    ["host=h user=u password=hunter2", "host=…"],
    ["jdbc:postgresql://h/db;password=hunter2", "jdbc:postgresql://h/db;…"],
  ])("P4: says no secret of %s", (url, shown) => {
    expect(shownUrl(url)).toBe(shown);
  });

  test.each([
    "sqlite:/etl/me@home/my store.db",
    "file:/etl/a;b=c?d",
    "memory:",
    "mongodb://db.example/app?authSource=admin",
    "mongodb://a:27017,b:27017/app?appName=me@etl",
    "postgres://db:5432/app?sslmode=verify-full&sslkey=/etc/pg/client.key",
    "redis://cache:6379/0?prefix=team@etl",
    "s3://box/team@etl?endpoint=http://127.0.0.1:9000",
    "mongodb://me@[::1]:27017,b:1/db",
  ])("leaves %s as it is: it can be copied", (url) => {
    expect(shownUrl(url)).toBe(url);
  });
});

describe("placeOfUrl()", () => {
  test.each([
    ["postgres://me:hunter2@host:5432/db?schema=a", "postgres://host:5432/db"],
    ["mongodb://me:hunt/er2@a,b/db", "mongodb://a,b/db"],
    ["redis://me@h", "redis://h"],
    ["sqlite:/etl/me@home.db", "sqlite:/etl/me@home.db"],
    ["oracle:u:hunter2@h/x?a=b", "***@h/x?…"],
  ])("says of %s where it is", (url, place) => {
    expect(placeOfUrl(url)).toBe(place);
  });
});
