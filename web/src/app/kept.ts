/** What the user chose, kept in the browser. least: of a cluster, USD, by market; absent: what counts there. */
export const PANELS = ["map", "ladder", "flow", "truth"] as const;
export type Panel = (typeof PANELS)[number];

export const KEY = "liqfield";
export type Kept = { theme: "dark" | "light"; utc: boolean; scale: "log" | "rank"; panel: Panel; side: Panel; least: Readonly<Record<string, number>> };

export function load(): Kept {
  const kept: Kept = { theme: "dark", utc: false, scale: "log", panel: "map", side: "ladder", least: {} };
  try {
    return { ...kept, ...(JSON.parse(localStorage.getItem(KEY) ?? "{}") as Partial<Kept>) };
  } catch {
    return kept; // private windows refuse storage
  }
}
