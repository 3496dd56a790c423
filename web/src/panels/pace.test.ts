import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Pace } from "./pace";

let frames: (() => void)[] = [];
let nowMs = 0;
const pass = (ms: number): void => { nowMs += ms; vi.advanceTimersByTime(ms); };
const paint = (): void => { const due = frames; frames = []; for (const f of due) f(); };

beforeEach(() => {
  vi.useFakeTimers();
  frames = [];
  nowMs = 1000;
  vi.stubGlobal("performance", { now: () => nowMs });
  vi.stubGlobal("requestAnimationFrame", (f: () => void) => frames.push(f));
  vi.stubGlobal("cancelAnimationFrame", () => (frames = []));
});
afterEach(() => { vi.useRealTimers(); vi.unstubAllGlobals(); });

test("many changes are one frame, and no change is none", () => {
  let drawn = 0;
  const pace = new Pace(() => drawn++);
  for (let i = 0; i < 5; i++) pace.soon();
  pace.now();
  expect(frames.length).toBe(1);
  pass(16);
  paint();
  expect(drawn).toBe(1);
  pass(5000);
  expect(frames.length).toBe(0);
});

test("data waits for its turn, fingers do not", () => {
  const pace = new Pace(() => undefined, 200);
  pace.soon();
  paint();
  pass(50);
  pace.soon();
  expect(frames.length).toBe(0);
  pass(149);
  expect(frames.length).toBe(0);
  pass(2);
  expect(frames.length).toBe(1);
  paint();
  pace.soon();
  pace.now();
  expect(frames.length).toBe(1);
});

test("late frames make data wait longer, and prompt ones end it", () => {
  const pace = new Pace(() => undefined, 100);
  pace.now();
  pass(217); // the compositor was busy for 200 ms
  paint();
  pace.soon();
  pass(590);
  expect(frames.length).toBe(0);
  pass(20);
  expect(frames.length).toBe(1);
  paint();
  pace.soon();
  pass(101);
  expect(frames.length).toBe(1);
});
