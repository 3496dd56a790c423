/** What the user chose, kept in the browser. */
export const PANELS = ["map", "ladder", "flow", "truth"] as const;
export type Panel = (typeof PANELS)[number];

export const KEY = "liqfield";
export type Kept = { theme: "dark" | "light"; utc: boolean; scale: "log" | "rank"; panel: Panel; side: Panel };

export function load(): Kept {
  const kept: Kept = { theme: "dark", utc: false, scale: "log", panel: "map", side: "ladder" };
  try {
    return { ...kept, ...(JSON.parse(localStorage.getItem(KEY) ?? "{}") as Partial<Kept>) };
  } catch {
    return kept; // private windows refuse storage
  }
}
