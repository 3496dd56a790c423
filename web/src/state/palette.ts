/**
 * The colour map of the heat map, built in OKLab: lightness runs evenly from the ground to near-white
 * (on a light page from white to near-black), hue turns from violet over rose to gold. Lightness alone
 * carries the amount, so any colour vision reads it.
 */

const DEGREE = Math.PI / 180;

/** OKLCH to linear sRGB (Ottosson 2020). */
function linear(l: number, chroma: number, hue: number): [number, number, number] {
  const a = chroma * Math.cos(hue * DEGREE);
  const b = chroma * Math.sin(hue * DEGREE);
  const l3 = (l + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m3 = (l - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s3 = (l - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    4.0767416621 * l3 - 3.3077115913 * m3 + 0.2309699292 * s3,
    -1.2684380046 * l3 + 2.6097574011 * m3 - 0.3413193965 * s3,
    -0.0041960863 * l3 - 0.7034186147 * m3 + 1.707614701 * s3,
  ];
}

const gamma = (x: number): number => 255 * (x <= 0.0031308 ? 12.92 * x : 1.055 * x ** (1 / 2.4) - 0.055);

/** Lightness of a share 0..1 of the scale. */
export const lightness = (x: number, light: boolean): number => (light ? 0.975 - 0.7 * x : 0.135 + 0.825 * x);

export function colour(share: number, light = false): [number, number, number] {
  const x = Math.min(1, Math.max(0, share));
  const l = lightness(x, light);
  const hue = light ? 95 - 170 * x : 285 + 170 * x;
  // Full chroma in the middle; reduced, never clipped, where the screen cannot show it.
  let chroma = 0.015 + 0.165 * Math.sin(Math.PI * Math.min(1, 0.04 + 0.92 * x));
  let rgb = linear(l, chroma, hue);
  while (chroma > 0 && rgb.some((c) => c < -1e-4 || c > 1.0001)) rgb = linear(l, (chroma -= 0.004), hue);
  return rgb.map((c) => Math.round(gamma(Math.min(1, Math.max(0, c))))) as [number, number, number];
}

/** What the colours mean: log dollars between low and high, or rank within the newest map. */
export interface Scale {
  readonly kind: "log" | "rank";
  /** USD per level-0 bin at the dark and at the bright end */
  readonly low: number;
  readonly high: number;
  /** USD at the ranks 0, 1/255, ... 1 */
  readonly ranks: Float32Array;
}

/** Share 0..1 of the colour map for so many dollars a bin. */
export function shareOf(scale: Scale, usd: number): number {
  if (!(usd > 0)) return 0;
  if (scale.kind === "log") return Math.log(usd / scale.low) / Math.log(scale.high / scale.low);
  let a = 0;
  let b = scale.ranks.length - 1;
  while (a < b) {
    const m = (a + b) >> 1;
    if ((scale.ranks[m] ?? 0) < usd) a = m + 1;
    else b = m;
  }
  return a / Math.max(1, scale.ranks.length - 1);
}

/**
 * RGBA of cell values 0..255 of tiles between floor and top (their header says which): 0 is transparent
 * (no such column), 1 nothing. wider: level-0 bins in a bin of this level.
 */
export function table(scale: Scale, floorUsd: number, topUsd: number, wider: number, light: boolean): Uint8Array {
  const out = new Uint8Array(256 * 4);
  const span = Math.log(topUsd / floorUsd);
  for (let v = 1; v < 256; v++) {
    const usd = v === 1 ? 0 : Math.exp(Math.log(floorUsd) + ((v - 2) / 253) * span);
    out.set([...colour(shareOf(scale, usd / wider), light), 255], v * 4);
  }
  return out;
}

const nice = (x: number): number => {
  const power = 10 ** Math.floor(Math.log10(x));
  return power * ([1, 2, 5, 10].reduce((best, m) => (Math.abs(Math.log((m * power) / x)) < Math.abs(Math.log((best * power) / x)) ? m : best), 1));
};

/** Bins within 12 % of a price: far out the unlevered mass would take all the colours. */
export function binsNear(map: { readonly bins: number; readonly firstBin: number; readonly binWidth: number }, price: number): [number, number] {
  const middle = Math.log(price) / map.binWidth - map.firstBin;
  const reach = 0.12 / map.binWidth;
  return [Math.max(0, Math.floor(middle - reach)), Math.min(map.bins, Math.ceil(middle + reach))];
}

/**
 * The scale of a market out of its newest map around the mark, never out of what is on screen or filtered:
 * between the 30 % and the 99.7 % quantile of the bins `from` to `to`, on round dollars. `before` is kept
 * until it is off by more than half of one of its steps, so that it stands still while one looks.
 */
export function scaleFrom(usd: Float32Array, bins: number, kind: "log" | "rank", before: Scale | null, [from, to]: readonly [number, number] = [0, bins]): Scale | null {
  const sums: number[] = [];
  for (let k = from; k < to; k++) {
    let sum = 0;
    for (let plane = 0; plane < 6; plane++) sum += usd[plane * bins + k] ?? 0;
    if (sum > 0) sums.push(sum);
  }
  if (sums.length < 20) return before;
  sums.sort((a, b) => a - b);
  const at = (q: number): number => sums[Math.round(q * (sums.length - 1))] ?? 1;
  const ranks = Float32Array.from({ length: 256 }, (_, i) => at(i / 255));
  const high = Math.max(at(0.997), 1e3);
  const low = Math.min(Math.max(at(0.3), high / 100), high / 8);
  const keep = (old: number | undefined, now: number): number => (old !== undefined && Math.abs(Math.log(old / now)) < 0.7 ? old : nice(now));
  return { kind, low: keep(before?.low, low), high: keep(before?.high, high), ranks };
}
