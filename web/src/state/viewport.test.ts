import { describe, expect, it } from "vitest";
import { msOf, pan, priceOf, xOf, yOf, zoom } from "./viewport";

const size = { width: 320, height: 500 };
const view = { t0: 1e12, t1: 1e12 + 3_600_000, y0: 11.2, y1: 11.4 };

describe("viewport", () => {
  it("inverts its own coordinates", () => {
    expect(xOf(view, size, msOf(view, size, 123))).toBeCloseTo(123, 6);
    expect(yOf(view, size, priceOf(view, size, 321))).toBeCloseTo(321, 6);
  });
  it("keeps what is under the fingers when scaling", () => {
    const z = zoom(view, size, 100, 200, 0.5, 2);
    expect(msOf(z, size, 100)).toBeCloseTo(msOf(view, size, 100), 2);
    expect(priceOf(z, size, 200)).toBeCloseTo(priceOf(view, size, 200), 4);
  });
  it("moves the picture with the finger", () => {
    const p = pan(view, size, 40, 30);
    expect(msOf(p, size, 140)).toBeCloseTo(msOf(view, size, 100), 2);
    expect(priceOf(p, size, 230)).toBeCloseTo(priceOf(view, size, 200), 4);
  });
});
