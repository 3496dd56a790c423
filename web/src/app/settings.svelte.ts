/** What the user chose, kept in the browser. */
import { applyTheme, DARK, LIGHT, type Theme } from "../render/theme";

export const PANELS = ["map", "ladder", "flow", "truth"] as const;
export type Panel = (typeof PANELS)[number];

const KEY = "liqfield";
type Kept = { theme: "dark" | "light"; utc: boolean; scale: "log" | "rank"; panel: Panel; side: Panel };

function load(): Kept {
  const kept: Kept = { theme: "dark", utc: false, scale: "log", panel: "map", side: "ladder" };
  try {
    return { ...kept, ...(JSON.parse(localStorage.getItem(KEY) ?? "{}") as Partial<Kept>) };
  } catch {
    return kept; // private windows refuse storage
  }
}

export class Settings {
  private kept = $state<Kept>(load());

  get theme(): Theme { return this.kept.theme === "light" ? LIGHT : DARK; }
  get utc(): boolean { return this.kept.utc; }
  get scale(): "log" | "rank" { return this.kept.scale; }
  /** the panel of a phone, and the one beside the map on a wide screen */
  get panel(): Panel { return this.kept.panel; }
  get side(): Panel { return this.kept.side; }

  set(change: Partial<Kept>): void {
    Object.assign(this.kept, change);
    if (change.theme) applyTheme(this.theme, document.documentElement);
    try {
      localStorage.setItem(KEY, JSON.stringify(this.kept));
    } catch {
      // kept for this visit only
    }
  }
}
