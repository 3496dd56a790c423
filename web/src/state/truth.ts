/** The score's hours summed and framed for a screen. Pure. */
import type { CalibrationRow, TruthHour } from "../wire/types";

export interface Scored {
  readonly predictedUsd: number;
  readonly realisedUsd: number;
  /** predicted over printed; null where nothing printed */
  readonly ratio: number | null;
  /** hours whose prints lay inside their 80 % interval, of n */
  readonly held: number;
  readonly n: number;
}

/** Of one side (0 longs, 1 shorts) over the hours that are shown: sums and shares of the same hours. */
export function scored(hours: readonly TruthHour[], side: 0 | 1): Scored {
  let [predictedUsd, realisedUsd, held] = [0, 0, 0];
  for (const h of hours) {
    predictedUsd += h.predictedUsd[side];
    realisedUsd += h.realisedUsd[side];
    held += h.realisedUsd[side] >= h.p10Usd[side] && h.realisedUsd[side] <= h.p90Usd[side] ? 1 : 0;
  }
  return { predictedUsd, realisedUsd, ratio: realisedUsd > 0 ? predictedUsd / realisedUsd : null, held, n: hours.length };
}

const DECADES = 4;

/**
 * log10 USD from edge to edge of the calibration's axes, null where nothing was predicted nor printed. At most four
 * decades below the largest: hours of which next to nothing was said would else press all others into a corner.
 */
export function calibrationSpan(rows: readonly CalibrationRow[]): readonly [number, number] | null {
  const logs = rows.flatMap((r) => [r.predictedUsd, r.realisedUsd]).filter((v) => v > 0).map(Math.log10);
  if (!logs.length) return null;
  const high = Math.max(...logs, ...rows.map((r) => Math.log10(Math.max(r.realisedHigh, 1e-9)))) + 0.15;
  return [Math.max(Math.min(...logs) - 0.3, high - DECADES), high];
}
