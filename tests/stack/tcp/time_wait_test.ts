import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { type TimeWaitItem, TimeWaitList } from "../../../lib/stack/tcp/time_wait.ts";

class Item implements TimeWaitItem<Item> {
  waitsLonger: Item | undefined;
  waitsLess: Item | undefined;
}

function drained(list: TimeWaitList<Item>): Item[] {
  const items: Item[] = [];
  for (let item = list.oldest; item !== undefined; item = list.oldest) {
    items.push(item);
    list.remove(item);
  }
  return items;
}

test("TimeWaitList keeps the order of arrival, whoever leaves", () => {
  for (const leaving of [0, 1, 2]) {
    const items = [new Item(), new Item(), new Item()];
    const list = new TimeWaitList<Item>();
    for (const item of items) list.add(item);
    list.remove(items[leaving]!);
    strictEqual(list.size, 2);
    deepStrictEqual(drained(list), items.filter((_, i) => i !== leaving));
    strictEqual(list.size, 0);
  }
});

test("TimeWaitList.remove() does nothing about strangers", () => {
  const list = new TimeWaitList<Item>();
  const item = new Item();
  list.remove(item);
  list.add(item);
  list.remove(new Item());
  strictEqual(list.size, 1);
  list.remove(item);
  list.remove(item);
  strictEqual(list.size, 0);
  list.add(item);
  strictEqual(list.oldest, item);
});
