/** Which clusters are named on the map, and where their names stand. */
import type { ClusterRow, Clusters, PathRow } from "../wire/types";
import { percent, usd, usdTick } from "./format";

/** Nearest two of each side and the largest of each, nearest first: what a trader looks for first. */
export function significant(clusters: readonly ClusterRow[], low: number, high: number): ClusterRow[] {
  const seen = clusters.filter((k) => k.peak > low && k.peak < high);
  const chosen = new Set<ClusterRow>();
  for (const side of ["long", "short"]) {
    const own = seen.filter((k) => k.side === side);
    for (const k of byDistance(own).slice(0, 2)) chosen.add(k);
    const largest = own.reduce<ClusterRow | null>((best, k) => (best === null || k.usd > best.usd ? k : best), null);
    if (largest) chosen.add(largest);
  }
  return byDistance([...chosen]);
}

export const byDistance = (clusters: readonly ClusterRow[]): ClusterRow[] =>
  [...clusters].sort((a, b) => Math.abs(a.distance) - Math.abs(b.distance));

/** Shape and word say it; colour only helps. */
export function pathBadge(path: PathRow, short = false): string {
  const shape = { defended: "▣", neutral: "▤", hollow: "▢" }[path.pathClass] ?? "";
  return `${shape} ${path.pathClass}${path.ratio !== null && !short ? ` ${path.ratio.toFixed(1)}×` : ""}`.trim();
}

/** What the resting size at the near edge does while the price comes closer; "" where it does nothing. */
export const edgeWord = (path: PathRow): string => (path.confluence === "building" || path.confluence === "thinning" ? path.confluence : "");

/** Ways to say on the map what stands on the way, the fullest first: an ordinary path is worth no word of its own. */
export function pathSaid(path: PathRow): string[] {
  const edge = edgeWord(path);
  const badges = path.pathClass === "hollow" || path.pathClass === "defended" ? [pathBadge(path), pathBadge(path, true)] : [];
  if (!badges.length) return edge ? [edge] : [];
  return [...(edge ? badges.map((badge) => `${badge} · ${edge}`) : []), ...badges];
}

/** " · $40.0M–$90.0M", nothing where it is not known. */
export const interval = (k: ClusterRow): string => (k.usdP10 === null || k.usdP90 === null ? "" : ` · ${usd(k.usdP10)}–${usd(k.usdP90)}`);

/** Those of `usd` or more; what is smaller than the server told cannot be added here. */
export const atLeast = (told: Clusters, usd: number): Clusters =>
  usd > told.minUsd ? { ...told, minUsd: usd, clusters: told.clusters.filter((k) => k.usd >= usd) } : told;

/** Thresholds to choose from: 1, 2, 5 steps around what counts in this market, and the one that is chosen. */
export function thresholds(defaultUsd: number, chosenUsd: number): number[] {
  const power = 10 ** Math.floor(Math.log10(Math.max(defaultUsd, 1e4)));
  const around = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20].map((m) => m * power);
  return [...new Set([...around, ...(chosenUsd > 0 ? [chosenUsd] : [])])].sort((a, b) => a - b);
}

/** Why so much counts where the user chose nothing. */
export function reasonOf(told: Clusters, openInterestUsd: number): string {
  if (told.defaultWhy === "setting") return "set by whoever runs this server (cluster_min_usd)";
  const share = openInterestUsd > 0 ? `0.2 % of ${usd(openInterestUsd)} open interest` : "0.2 % of open interest";
  return told.defaultWhy === "most" ? `${share}, never more than ${usdTick(told.defaultUsd)}` : `${share}: less is no fuel for this market`;
}

/** What a side without a cluster says: nothing to wait for is a result too. */
export function noneOf(clusters: Clusters, side: "long" | "short"): string | null {
  if (clusters.clusters.some((k) => k.side === side)) return null;
  const most = side === "long" ? 1 - Math.exp(-clusters.reach) : Math.exp(clusters.reach) - 1;
  const within = most > 0 ? ` within ${(most * 100).toFixed(0)} %` : "";
  return `no cluster${clusters.minUsd > 0 ? ` ≥ ${usdTick(clusters.minUsd)}` : ""}${within} ${side === "long" ? "below" : "above"}`;
}

/** Of a side whose clusters all lie outside [low, high]: the nearest, and where to look for it. */
export function outOfView(clusters: Clusters, side: "long" | "short", low: number, high: number): string | null {
  const own = byDistance(clusters.clusters.filter((k) => k.side === side));
  const nearest = own[0];
  if (!nearest || own.some((k) => k.peak > low && k.peak < high)) return null;
  return `${usd(nearest.usd)} ${side} · ${percent(nearest.distance, 1)} ${nearest.peak <= low ? "↓" : "↑"}`;
}

/**
 * Move heights apart to at least `gap`, in order, as little as possible, inside [low, high].
 * null where there is no room.
 */
export function spread(wanted: readonly number[], gap: number, low: number, high: number): (number | null)[] {
  const room = Math.max(0, Math.floor((high - low) / gap) + 1);
  const order = wanted.map((y, i) => ({ y, i })).slice(0, room).sort((a, b) => a.y - b.y);
  const out: (number | null)[] = wanted.map(() => null);
  // Blocks of touching labels stand around the mean of what they want.
  const blocks: { sum: number; n: number; top: number }[] = [];
  for (const { y } of order) {
    let block = { sum: y, n: 1, top: y };
    for (;;) {
      block.top = Math.min(Math.max(block.sum / block.n - ((block.n - 1) * gap) / 2, low), high - (block.n - 1) * gap);
      const before = blocks.at(-1);
      if (!before || before.top + before.n * gap <= block.top) break;
      blocks.pop();
      block = { sum: before.sum + block.sum, n: before.n + block.n, top: 0 };
    }
    blocks.push(block);
  }
  let k = 0;
  for (const block of blocks) for (let j = 0; j < block.n; j++, k++) out[order[k]?.i ?? 0] = block.top + j * gap;
  return out;
}
