import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { type LruItem, LruList } from "../../../lib/uplink/gateway/lru_list.ts";
import { type Instant, NEVER } from "../../../lib/stack/time.ts";

class Item implements LruItem<Item> {
  newer: Item | undefined;
  older: Item | undefined;
  list: LruList<Item> | undefined;
  usedAt = 0 as Instant;
  constructor(readonly name: string) {}
}

function names(list: LruList<Item>): string {
  let text = "";
  for (let item = list.oldest; item !== undefined; item = item.newer) text += item.name;
  return text;
}

const at = (n: number): Instant => n as Instant;

test("touch() appends, moves to the end, and takes an item off its other list", () => {
  const list = new LruList<Item>(10);
  const other = new LruList<Item>(10);
  const [a, b, c] = [new Item("a"), new Item("b"), new Item("c")];
  for (const item of [a, b, c]) list.touch(item, at(0));
  list.touch(a, at(1));
  strictEqual(names(list), "bca");
  list.touch(a, at(2));
  strictEqual(names(list), "bca");
  other.touch(c, at(3));
  deepStrictEqual([names(list), names(other), list.length, other.length], ["ba", "c", 2, 1]);
});

test("remove() unlinks first, middle and last, and ignores strangers", () => {
  for (const gone of [0, 1, 2]) {
    const list = new LruList<Item>(10);
    const items = [new Item("a"), new Item("b"), new Item("c")];
    for (const item of items) list.touch(item, at(0));
    list.remove(items[gone]!);
    list.remove(items[gone]!);
    list.remove(new Item("x"));
    strictEqual(names(list), "abc".replace("abc"[gone]!, ""));
    strictEqual(list.length, 2);
  }
});

test("expired() finds the oldest when its lifetime is over", () => {
  const list = new LruList<Item>(10);
  strictEqual(list.expiresAt(), NEVER);
  const [a, b] = [new Item("a"), new Item("b")];
  list.touch(a, at(0));
  list.touch(b, at(5));
  strictEqual(list.expiresAt(), 10);
  strictEqual(list.expired(at(9)), undefined);
  strictEqual(list.expired(at(10)), a);
  list.touch(a, at(10));
  strictEqual(list.expired(at(14)), undefined);
  strictEqual(list.expired(at(15)), b);
});
