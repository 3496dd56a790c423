import { expect, test } from "vitest";
import { Later } from "./later.svelte";

test("what did not come is asked for again, what is here is not", async () => {
  let tries = 0;
  const later = new Later(() => (++tries < 3 ? Promise.reject(new Error("gone")) : Promise.resolve({ default: "a panel" })));
  await Promise.all([later.ask(), later.ask()]);
  expect([tries, later.failed, later.part]).toEqual([1, true, null]);
  await later.ask();
  expect([tries, later.failed]).toEqual([2, true]);
  await later.ask();
  expect([tries, later.failed, later.part]).toEqual([3, false, "a panel"]);
  await later.ask();
  expect(tries).toBe(3);
});
