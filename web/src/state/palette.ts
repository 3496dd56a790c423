/**
 * The colour map: perceptually even in lightness from near-black through violet and rose to pale gold,
 * readable with any colour vision because lightness alone carries the amount.
 */

const STOPS: readonly (readonly [number, number, number, number])[] = [
  [0.0, 6, 8, 13],
  [0.12, 20, 14, 46],
  [0.28, 60, 18, 92],
  [0.44, 112, 30, 108],
  [0.58, 164, 50, 98],
  [0.7, 208, 80, 76],
  [0.82, 240, 128, 52],
  [0.92, 250, 184, 62],
  [1.0, 252, 244, 176],
];

export function colour(x: number): [number, number, number] {
  const at = Math.min(1, Math.max(0, x));
  for (let i = 1; i < STOPS.length; i++) {
    const a = STOPS[i - 1];
    const b = STOPS[i];
    if (a && b && at <= b[0]) {
      const f = (at - a[0]) / (b[0] - a[0]);
      return [a[1] + f * (b[1] - a[1]), a[2] + f * (b[2] - a[2]), a[3] + f * (b[3] - a[3])];
    }
  }
  return [252, 244, 176];
}

/** RGBA of cell values 0..255: 0 is transparent (no such column), 1 the darkest. */
export function table(lowUsd: number, highUsd: number, floorUsd: number, topUsd: number): Uint8Array {
  const out = new Uint8Array(256 * 4);
  const span = Math.log(topUsd / floorUsd);
  for (let v = 1; v < 256; v++) {
    const log = Math.log(floorUsd) + ((v - 2) / 253) * span;
    const x = v === 1 ? 0 : (log - Math.log(lowUsd)) / Math.log(highUsd / lowUsd);
    const [r, g, b] = colour(x);
    out.set([r, g, b, 255], v * 4);
  }
  return out;
}

/** The absolute scale of a market: fixed by its open interest, never by what is on screen. */
export function scaleFor(openInterestUsd: number, binWidth: number): { low: number; high: number } {
  // If all open interest lay evenly over +-50 % of the price, a bin would hold OI * width.
  const even = Math.max(openInterestUsd, 1e6) * binWidth;
  return { low: even / 16, high: even * 16 };
}

export const BAND_COLOURS = ["#7d8cab", "#b04a8f", "#f2a33c"] as const;
